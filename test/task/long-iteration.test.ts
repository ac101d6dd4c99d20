import assert from 'node:assert/strict'
import { test } from 'node:test'
import { doingIn, isFarBeyond } from '../../app/task/long-iteration.ts'

test('an iteration is far beyond what is usual after ten times as long, and not within a minute', () => {
  const minuteMs = 60_000
  assert.equal(isFarBeyond(minuteMs, { p95Ms: 1 }), false)
  assert.equal(isFarBeyond(minuteMs + 1, { p95Ms: 1 }), true)
  assert.equal(isFarBeyond(10 * minuteMs, { p95Ms: minuteMs }), false)
  assert.equal(isFarBeyond(10 * minuteMs + 1, { p95Ms: minuteMs }), true)
  assert.equal(isFarBeyond(86_400_000, null), false)
})

test('what it does meanwhile: by one look where that is beyond doubt, by two always', () => {
  const begins = { processAt: 0, iterationAt: 100_000 }
  const at = 200_000
  const doing = (busyMs: number, earlier: { busyMs: number; at: number } | null = null) => doingIn(begins, { busyMs, at }, earlier)
  // It had less to do in all than half of the iteration; and so much that more than half of it lies in the iteration whatever was before.
  assert.equal(doing(49_000), 'waiting')
  assert.equal(doing(151_000), 'busy')
  assert.equal(doing(51_000), null)
  assert.equal(doing(149_000), null)
  assert.equal(doing(149_000, { busyMs: 139_500, at: at - 10_000 }), 'busy')
  assert.equal(doing(149_000, { busyMs: 148_900, at: at - 10_000 }), 'waiting')
  assert.equal(doing(149_000, { busyMs: 148_999, at: at - 100 }), null, 'too close to tell')
})
