import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { calmLog } from '../../app/supervisor/bounded-log.ts'

test('a trouble that repeats is said once a minute', () => {
  const said: string[] = []
  let now = 0
  const log = calmLog({ info: sentence => said.push(sentence), warn: sentence => said.push(sentence) }, () => now)
  for (; now < 120_000; now += 1_000) log.warn('the disk is full')
  log.warn('something else')
  assert.deepEqual(said, ['the disk is full', 'the disk is full', 'something else'])
})

test('a log that has grown large is rotated by the process that prints to it, and by no other', t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'bgtask.log')
  writeFileSync(path, 'x'.repeat(10_000_001))
  const rotate = `import { rotateOwnLog } from ${JSON.stringify(join(import.meta.dirname, '../../app/supervisor/bounded-log.ts'))}
    rotateOwnLog(${JSON.stringify(path)}, { info() {}, warn(sentence) { console.error(sentence) } })
    console.log('after')`
  const run = (stdout: number | 'pipe') =>
    spawnSync(process.execPath, ['--input-type=module', '-e', rotate], { stdio: ['ignore', stdout, 'inherit'] })
  assert.equal(run('pipe').status, 0)
  assert.equal(statSync(path).size, 10_000_001)
  const own = openSync(path, 'a')
  assert.equal(run(own).status, 0)
  closeSync(own)
  assert.equal(readFileSync(path, 'utf8'), 'after\n')
  assert.equal(statSync(`${path}.1`).size, 10_000_001)
})
