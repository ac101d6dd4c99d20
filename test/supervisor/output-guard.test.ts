import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { identify, readStat } from '../../app/runs/process-identity.ts'
import { runPaths } from '../../app/runs/runtime-folder.ts'
import { OutputGuard } from '../../app/supervisor/output-guard.ts'
import { until } from '../helpers/scene.ts'

const limitBytes = 50_000_000

// A hundred times as fast as what counts as a flood, and slow enough for a guard that waits a while for a core.
const flood = `const { writeSync } = require('node:fs')
  const piece = Buffer.alloc(1 << 17, 'x')
  const write = () => { writeSync(1, piece); setTimeout(write, 1) }
  write()`

test('a run that floods is stopped until the one that it is left to has begun, however long that takes', { timeout: 30_000 }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-guard-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const paths = runPaths(folder)
  const output = openSync(paths.output, 'a', 0o600)
  const child = spawn(process.execPath, ['-e', flood], { detached: true, stdio: ['ignore', output, 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  closeSync(output)
  const run = { folder, identity: identify(child.pid!)!, limitBytes, killAtBytes: null }
  const trouble = (sentence: string) => assert.fail(sentence)
  const beyond = () => assert.fail('it may print as much as it likes')

  const handedOver = Promise.withResolvers<void>()
  new OutputGuard(run, { trouble, beyond, flooding: handedOver.resolve })
  await handedOver.promise
  await until('it is stopped', () => readStat(child.pid!)?.state === 'T', 2_000)
  const { size } = statSync(paths.output)
  // As long as a thread needs to begin on a busy machine.
  await delay(300)
  assert.equal(statSync(paths.output).size, size)
  assert.ok(size < 2 * limitBytes, `${size} bytes`)

  const next = new OutputGuard(run, { trouble, beyond })
  t.after(() => next.close())
  await until('it goes on, and is rotated', () => existsSync(paths.rotatedOutput))
  assert.equal(child.exitCode, null)
})
