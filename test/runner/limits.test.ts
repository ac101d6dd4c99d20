import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Limits, memorySentence } from '../../app/task/limits.ts'
import { spawnRun } from './spawn-run.ts'

const none: Limits = { runAs: null, noNewPrivileges: false, memoryMb: null, processes: null, killOnOutputBytes: null, database: false }

const fileOf = (source: string) => {
  const file = join(mkdtempSync(join(tmpdir(), 'bgtask-limited-')), 'action.ts')
  writeFileSync(file, source)
  return file
}

test('an action that asks for limits is not run by a ticket that knows of none, nor by one with others', async () => {
  const source = "export const runAs = 'nobody'\nexport const execute = () => console.log('it ran')"
  for (const limits of [undefined, { ...none, memoryMb: 64 }]) {
    const run = await (await spawnRun('test/ok', { ticket: { file: fileOf(source), ...(limits ? { limits } : {}) } })).end()
    assert.equal(run.outcome?.kind, 'failed')
    assert.match(
      run.outcome?.content ?? '',
      /it asks for runAs "nobody", and this run was started with (none|memoryMb 64), by what was known of the file\. Run it again\./,
    )
    assert.doesNotMatch(run.output, /it ran/)
  }
  const byDefault = fileOf("export default { memoryMb: 64, execute: () => console.log('it ran') }")
  assert.doesNotMatch((await (await spawnRun('test/ok', { ticket: { file: byDefault, exportName: 'default' } })).end()).output, /it ran/)
  const fitting = await (
    await spawnRun('test/ok', { ticket: { file: byDefault, exportName: 'default', limits: { ...none, memoryMb: 64 } } })
  ).end()
  assert.equal(fitting.outcome?.kind, 'succeeded')
})

test('a refusal is told as it stands, and nothing of the action is loaded', async () => {
  const run = await (
    await spawnRun('test/ok', { ticket: { file: fileOf("console.log('it was loaded')"), refusal: 'There is no such user.' } })
  ).end()
  assert.deepEqual([run.code, run.outcome?.kind, run.outcome?.exitCode, run.outcome?.content], [78, 'failed', 78, 'There is no such user.'])
  assert.doesNotMatch(run.output, /it was loaded/)
})

test('what Node throws for want of memory counts as out of memory only where memory is bounded', async () => {
  const source = (memoryMb: string) => `${memoryMb}
export const execute = () => { throw Object.assign(new RangeError('Failed to allocate memory'), { code: 'ERR_MEMORY_ALLOCATION_FAILED' }) }`
  const bounded = await (
    await spawnRun('test/ok', { ticket: { file: fileOf(source('export const memoryMb = 64')), limits: { ...none, memoryMb: 64 } } })
  ).end()
  assert.equal(bounded.outcome?.kind, 'out-of-memory')
  assert.ok(bounded.outcome?.error?.startsWith(memorySentence(64)))
  assert.equal((await (await spawnRun('test/ok', { ticket: { file: fileOf(source('')) } })).end()).outcome?.kind, 'failed')
})
