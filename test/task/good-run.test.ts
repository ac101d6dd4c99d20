import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isGoodBefore } from '../../app/task/good-run.ts'
import type { OutcomeKind } from '../../app/task/outcome.ts'

const run = (livedMs: number, outcome: OutcomeKind | null) => ({ startedAt: 1_000, endedAt: 1_000 + livedMs, outcome })
const minuteMs = 60_000

test('what a run is held against: one that ended well, or one that ran for long and far longer', () => {
  const bad = run(5_000, 'out-of-memory')
  assert.equal(isGoodBefore(run(1_000, 'interrupted'), bad), true)
  assert.equal(isGoodBefore(run(1_000, 'succeeded'), bad), true)
  assert.equal(isGoodBefore(run(5_400, 'out-of-memory'), bad), false, 'the same trouble once more')
  assert.equal(isGoodBefore(run(minuteMs - 1, 'failed'), run(10, 'failed')), false)
  assert.equal(isGoodBefore(run(minuteMs, 'failed'), run(10, 'failed')), true)
  assert.equal(isGoodBefore(run(14_400 * minuteMs, 'killed'), bad), true)
  assert.equal(isGoodBefore(run(70_000, 'failed'), run(70_000, 'failed')), false)
  assert.equal(isGoodBefore(run(minuteMs, null), bad), false)
})
