import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { lastLinesAt } from '../../app/cli/last-lines-at.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { withWritableTask } from '../helpers/task-with-output.ts'
import { run } from './run.ts'

test('the last lines, also over both files of a run', t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-lines-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const paths = { output: join(folder, 'output.log'), rotatedOutput: join(folder, 'output.log.1') }
  const text = fc.array(fc.constantFrom('a', 'bc', '\n', '\n\n', '字'), { maxLength: 30 }).map(parts => parts.join(''))
  fc.assert(
    fc.property(text, text, fc.nat(12), (older, newer, lines) => {
      writeFileSync(paths.rotatedOutput, older)
      writeFileSync(paths.output, newer)
      const begin = lastLinesAt(paths, lines)
      const shown = Buffer.from(older).subarray(begin.older).toString() + Buffer.from(newer).subarray(begin.newer).toString()
      assert.equal(shown, tail(older + newer, lines))
    }),
    { numRuns: 1_000 },
  )
})

test('output without secrets and without what steers a terminal; raw byte by byte, but still without secrets', async t => {
  const { env, id, folder } = await withWritableTask(t, { password: 'seven blue herons' })
  mkdirSync(folder, { recursive: true })
  const { output, rotatedOutput } = runtimePaths(env.BGTASK_RUNTIME!).run(`${id}-1`)
  writeFileSync(rotatedOutput, 'older\nlogin seven blu')
  writeFileSync(output, 'e herons\n\u001b[31mred\u001b[0m\u0007 \u009b1m\u202e\nlast seven blue herons\n')
  const plain = await run(env, 'output', String(id), '--run', '1')
  assert.equal(plain.stdout, 'older\nlogin [redacted]\nred\ufffd \ufffd1m\ufffd\nlast [redacted]\n')
  const raw = await run(env, 'output', String(id), '--run', '1', '--raw')
  assert.equal(raw.stdout, 'older\nlogin [redacted]\n\u001b[31mred\u001b[0m\u0007 \u009b1m\u202e\nlast [redacted]\n')
  assert.equal((await run(env, 'output', String(id), '-r', '1', '-n', '1')).stdout, 'last [redacted]\n')
  assert.equal(
    (await run(env, 'output', String(id), '-r', '1', '--tail', '3')).stdout,
    'login [redacted]\nred\ufffd \ufffd1m\ufffd\nlast [redacted]\n',
  )
  assert.equal((await run(env, 'output', String(id), '-r', '1', '-n', '0')).stdout, '')
  assert.equal((await run(env, 'output', String(id), '-r', '1', '-n', '-1')).code, 2)
})

/** As tail(1) has it. */
const tail = (text: string, lines: number): string => {
  if (lines === 0) return ''
  const all = text.match(/[^\n]*\n|[^\n]+$/g) ?? []
  return all.slice(-lines).join('')
}
