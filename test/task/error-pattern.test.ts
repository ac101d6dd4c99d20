import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { errorPattern, errorSample } from '../../app/task/error-pattern.ts'

const failed = (content: string | null, more: Partial<Parameters<typeof errorPattern>[0]> = {}) =>
  errorPattern({ kind: 'failed', content, error: null, exitCode: 1, signal: null, ...more })

test('what differs from case to case is no part of an error', () => {
  for (const [one, other] of [
    ['order 12 has no lines', 'order 990,411 has no lines'],
    ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ECONNREFUSED 10.0.0.7:5433'],
    ["no such file 'a.csv'", 'no such file "b.csv"'],
    ['user 0b0e7f0c-8a53-4a0e-9a7f-1f6d9b8b1c11 is gone', 'user 1c0e7f0c-8a53-4a0e-9a7f-1f6d9b8b1c12 is gone'],
    ['commit 3f2a9c81d is unknown', 'commit 77aa21c0b is unknown'],
    ['GET https://a.example/x?y=1 answered 503', 'GET https://b.example/z answered 503'],
    ['mail to kim@example.com bounced', 'mail to li.wei@example.org bounced'],
    ['broken\n  at a.ts:3', 'broken\n  at b.ts:77'],
  ] as const)
    assert.equal(failed(one), failed(other))
})

test('what is another error stays one', () => {
  const all = ['connect ECONNREFUSED 127.0.0.1:1', 'connect ETIMEDOUT 127.0.0.1:1', 'table is full', 'disk is full', 'deadbeef', 'facade']
  assert.equal(new Set(all.map(text => failed(text))).size, all.length)
})

test('a run that said nothing is known by how it ended', () => {
  assert.equal(failed(null, { kind: 'killed', signal: 'SIGKILL', exitCode: null }), 'killed: SIGKILL')
  assert.equal(errorSample({ kind: 'exited', content: null, error: null, exitCode: 3, signal: null }), 'exited: exit code 3')
  assert.equal(errorSample({ kind: 'lost', content: null, error: null, exitCode: null, signal: null }), 'lost')
  assert.equal(errorSample({ kind: 'failed', content: ' \n', error: '\nTypeError: x\n at y', exitCode: 1, signal: null }), 'TypeError: x')
})

test('any message has a pattern that fits its column, and soon', t => {
  const seed = Number(process.env.BGTASK_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`BGTASK_SEED=${seed}`)
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3_000 }), text => {
      const pattern = failed(text)
      assert.ok(pattern.length <= 300 && pattern.isWellFormed())
    }),
    { seed, numRuns: 500 },
  )
  for (const part of ['"', 'a@', 'a', '0', '0123abcd-', 'http://', "'x", '1.', 'é@é']) assert.ok(failed(part.repeat(100_000)).length <= 300)
})
