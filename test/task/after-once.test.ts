import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { afterOnce } from '../../app/task/after-once.ts'
import type { Outcome, OutcomeKind } from '../../app/task/outcome.ts'

const task = { attempt: 0, maxAttempts: 3, crashCount: 1, rerunAfterCrash: true, runAt: 0, wanted: 'up', number: 1 } as const
const outcome = (kind: OutcomeKind, more: Partial<Outcome> = {}): Outcome => ({
  kind,
  content: 'said',
  error: null,
  exitCode: null,
  signal: null,
  ...more,
})

describe('what becomes of a ONCE task', () => {
  test('succeeded is final, with its content', () => {
    const after = afterOnce(task, outcome('succeeded'), 1_000, 0)
    assert.equal(after.state, 'succeeded')
    assert.equal(after.content, 'said')
    assert.equal(after.crashCount, 0)
  })
  test('a failed try is tried again later, the last one fails for good', () => {
    const first = afterOnce(task, outcome('failed'), 1_000, 0.5)
    assert.deepEqual([first.state, first.attempt, first.runAt], ['waiting', 1, 2_500])
    const last = afterOnce({ ...task, attempt: 2 }, outcome('timed-out'), 1_000, 0)
    assert.deepEqual([last.state, last.attempt, last.reason.code], ['failed', 3, 'failed'])
  })
  test('an interruption counts neither as an attempt nor as a crash', () => {
    const after = afterOnce({ ...task, crashCount: 2 }, outcome('interrupted'), 1_000, 0)
    assert.deepEqual([after.state, after.attempt, after.crashCount, after.runAt], ['waiting', 0, 1, 1_000])
  })
  test('a run that dies without an outcome is run again, three times in all', () => {
    for (const kind of ['exited', 'killed', 'out-of-memory', 'lost'] as const) {
      assert.equal(afterOnce(task, outcome(kind), 1_000, 0).state, 'waiting')
      assert.equal(afterOnce({ ...task, crashCount: 2 }, outcome(kind), 1_000, 0).state, 'waiting')
      const third = afterOnce({ ...task, crashCount: 3 }, outcome(kind), 1_000, 0)
      assert.deepEqual([third.state, third.reason.code], ['failed', 'crashed-for-good'])
      assert.equal(afterOnce({ ...task, rerunAfterCrash: false }, outcome(kind), 1_000, 0).state, 'failed')
    }
  })
  test('exit code 78 is not tried again', () => {
    assert.deepEqual(afterOnce(task, outcome('exited', { exitCode: 78 }), 1_000, 0).reason.code, 'misconfigured')
  })
  test('a cancelled one that finished all the same has succeeded; one that failed is cancelled', () => {
    assert.equal(afterOnce({ ...task, wanted: 'down' }, outcome('succeeded'), 1_000, 0).state, 'succeeded')
    assert.equal(afterOnce({ ...task, wanted: 'down' }, outcome('failed'), 1_000, 0).state, 'cancelled')
    assert.equal(afterOnce({ ...task, wanted: 'down' }, outcome('lost'), 1_000, 0).state, 'cancelled')
    assert.equal(afterOnce(task, outcome('cancelled'), 1_000, 0).state, 'cancelled')
  })
})
