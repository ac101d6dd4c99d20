import assert from 'node:assert/strict'
import { test } from 'node:test'
import { badEndsOf } from '../../app/task/bad-ends.ts'
import type { OutcomeKind } from '../../app/task/outcome.ts'

const minuteMs = 60_000
const now = 1_800_000_000_000
/** Lives that ended so many minutes ago, and one under way. */
const lives = (...ends: [number, OutcomeKind][]) => [
  ...ends.map(([minutesAgo, outcome]) => ({ endedAt: now - minutesAgo * minuteMs, outcome })),
  { endedAt: null, outcome: null },
]

test('a loop keeps ending badly from the third time within an hour on, until it has lived as long as they lie apart', () => {
  assert.equal(badEndsOf([], now), null)
  assert.equal(badEndsOf(lives([2, 'killed'], [1, 'exited']), now), null)
  assert.deepEqual(badEndsOf(lives([3, 'failed'], [2, 'killed'], [1, 'out-of-memory']), now), { n: 3, lastAt: now - minuteMs })
  assert.deepEqual(badEndsOf(lives([59, 'failed'], [30, 'failed'], [20, 'lost']), now), { n: 3, lastAt: now - 20 * minuteMs })
  assert.equal(badEndsOf(lives([59, 'failed'], [30, 'failed'], [21, 'failed']), now), null)
  assert.equal(badEndsOf(lives([60, 'failed'], [30, 'failed'], [1, 'failed']), now), null, 'the first of them is too long ago')
})

test('good ends between them forgive nothing; a restart by hand, a reload or a shutdown begins anew', () => {
  assert.equal(badEndsOf(lives([4, 'failed'], [3, 'succeeded'], [2, 'failed'], [1, 'failed']), now)?.n, 3)
  for (const taken of ['interrupted', 'cancelled'] as const)
    assert.equal(badEndsOf(lives([5, 'failed'], [4, 'failed'], [3, taken], [2, 'failed'], [1, 'failed']), now), null, taken)
})
