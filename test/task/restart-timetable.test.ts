import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideRestart, freshMemory, type Life, restartPolicy } from '../../app/task/restart-policy.ts'
import { placeInTimetable, restartTimetable } from '../../app/task/restart-timetable.ts'
import type { Reason, TaskState } from '../../app/task/task.ts'

const rows = restartTimetable()
const at = 1_700_000_000_000
const waits = (state: TaskState, reason: Partial<Reason> | null) =>
  placeInTimetable(rows, { state, reason: reason && { code: 'backing-off', at, ...reason } })

test('the timetable says what the rule does', () => {
  assert.deepEqual(
    rows.map(({ what, n, andMore, fromMs, toMs }) => [what, n, andMore, fromMs, toMs]),
    [
      ['failure', 1, false, 0, 0],
      ['failure', 2, false, 1_000, 2_000],
      ['failure', 3, false, 2_000, 4_000],
      ['failure', 4, false, 4_000, 8_000],
      ['failure', 5, false, 8_000, 16_000],
      ['failure', 6, false, 16_000, 32_000],
      ['failure', 7, false, 32_000, 60_000],
      ['failure', 8, true, 60_000, 60_000],
      ['probe', 1, false, 300_000, 330_000],
      ['probe', 2, false, 600_000, 660_000],
      ['probe', 3, false, 1_200_000, 1_320_000],
      ['probe', 4, true, 1_800_000, 1_980_000],
    ],
  )
})

test('whatever the rule decides for a loop that fails, its wait lies in the row that is shown for it', () => {
  const gap = fc.integer({ min: 0, max: 400_000 })
  const random = fc.double({ min: 0, max: 0.999999, noNaN: true })
  fc.assert(
    fc.property(fc.array(fc.tuple(gap, random), { minLength: 1, maxLength: 30 }), lives => {
      let memory = freshMemory
      let now = at
      for (const [gapMs, spread] of lives) {
        now += gapMs
        const life: Life = { startedAt: now, endedAt: now + 10, iterations: 0, outcome: 'exited', exitCode: 1, recycled: false }
        const decided = decideRestart(memory, life, spread)
        memory = decided.memory
        const { restart } = decided
        if (restart.kind === 'at-once') continue
        const place = waits(restart.kind, { failures: restart.failures, until: at + restart.delayMs })!
        const row = rows[place.index]!
        assert.equal(row.what, restart.kind === 'tripped' ? 'probe' : 'failure')
        assert.ok(restart.delayMs >= row.fromMs && restart.delayMs <= row.toMs, `${restart.delayMs} in ${JSON.stringify(row)}`)
        assert.equal(place.waitMs, restart.delayMs)
      }
    }),
  )
})

test('who does not wait by it is nowhere in it', () => {
  assert.equal(waits('running', { failures: 2, until: at + 1_000 }), null)
  assert.equal(waits('backing-off', null), null)
  assert.equal(waits('backing-off', { failures: 2 }), null, 'nobody knows until when')
  assert.equal(waits('backing-off', { until: at + 5_000, detail: 'no process could be started' }), null, 'no failure of the loop')
  assert.equal(
    waits('tripped', { code: 'misconfigured', failures: 1, until: at + 300_000 })?.index,
    rows.findIndex(({ what }) => what === 'probe'),
  )
  assert.equal(restartPolicy.probeMs.length, rows.filter(({ what }) => what === 'probe').length)
})
