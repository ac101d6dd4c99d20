import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptySample, rollUp, spanAt } from '../../app/task/sample.ts'

const minute = (at: number, more: object) => ({ ...emptySample(7, at * 60_000, 60_000), ...more })

test('minutes add up to the spans they lie in; of memory the highest is kept', () => {
  const rolled = rollUp(
    [
      minute(9, { iterations: 2, errors: 1, durations: { 80: 2 }, cpuMs: 5, memoryBytes: 300, outputBytes: 10 }),
      minute(10, { iterations: 3, durations: { 80: 1, 90: 2 }, cpuMs: 7, memoryBytes: null, outputBytes: 20 }),
      minute(19, { iterations: 4, durations: { 90: 4 }, cpuMs: 1, memoryBytes: 200, outputBytes: 0 }),
    ],
    600_000,
  )
  assert.deepEqual(rolled, [
    { taskId: 7, at: 0, spanMs: 600_000, iterations: 2, errors: 1, durations: { 80: 2 }, cpuMs: 5, memoryBytes: 300, outputBytes: 10 },
    {
      ...{ taskId: 7, at: 600_000, spanMs: 600_000, iterations: 7, errors: 0, durations: { 80: 1, 90: 6 } },
      ...{ cpuMs: 8, memoryBytes: 200, outputBytes: 20 },
    },
  ])
  assert.deepEqual(rollUp([], 600_000), [])
  assert.equal(spanAt(1_199_999, 600_000), 600_000)
})
