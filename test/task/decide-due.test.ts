import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideDue, soonerDue } from '../../app/task/decide-due.ts'
import { nextDue } from '../../app/task/due-times.ts'
import { type DueRule, missedRules, mostAtOnce, onTimeMs, overlapRules } from '../../app/task/schedule.ts'

const minutely: DueRule = { cron: '* * * * *', timeZone: 'UTC' }
const hour = Date.parse('2026-01-01T10:00:00Z')
const decide = (more: Partial<Parameters<typeof decideDue>[0]>) =>
  decideDue({ rule: minutely, nextAt: hour, missed: 'once', overlap: 'allow', now: hour, ...more })

test('what is served within a minute is made, whatever the rule', () => {
  for (const missed of missedRules)
    assert.deepEqual(decide({ missed, rule: { cron: '0 * * * *', timeZone: 'UTC' }, now: hour + onTimeMs }), {
      make: [hour],
      passed: 1,
      more: false,
      lastAt: hour,
      isLate: false,
      nextAt: hour + 3_600_000,
    })
})

test('what was missed: one for all, one each, or none', () => {
  const rule: DueRule = { cron: '0 * * * *', timeZone: 'UTC' }
  const now = hour + 3 * 3_600_000 + 90_000
  const four = [0, 1, 2, 3].map(hours => hour + hours * 3_600_000)
  assert.deepEqual(decide({ rule, now }).make, [four[3]])
  assert.deepEqual(decide({ rule, now, missed: 'all' }).make, four)
  assert.deepEqual(decide({ rule, now, missed: 'skip' }).make, [])
  assert.equal(decide({ rule, now, missed: 'skip' }).passed, 4)
  // The newest has only just come due, so it was not missed.
  assert.deepEqual(decide({ rule, now: now - 60_000, missed: 'skip' }).make, [four[3]])
})

test('no more than a thousand at once, the newest of them', () => {
  const decision = decide({ missed: 'all', now: hour + 5_000 * 60_000 })
  assert.equal(decision.make.length, mostAtOnce)
  assert.equal(decision.more, true)
  assert.equal(decision.make.at(-1), hour + 5_000 * 60_000)
  assert.equal(decide({ missed: 'all', now: hour + (mostAtOnce - 1) * 60_000 }).more, false)
})

test('where only one may run at a time, one is made', () => {
  assert.deepEqual(decide({ missed: 'all', overlap: 'skip', now: hour + 120_000 }).make, [hour + 120_000])
})

test('a year without a supervisor is decided without reading its 31 million times', () => {
  const rule: DueRule = { cron: '* * * * * *', timeZone: 'Europe/Berlin' }
  const decision = decide({ rule, missed: 'all', now: hour + 366 * 86_400_000 })
  assert.deepEqual([decision.make.length, decision.more], [mostAtOnce, true])
})

test('a clock that was set back lets it wait for what is next now', () => {
  assert.equal(soonerDue(minutely, hour, hour - 30_000), null)
  assert.equal(soonerDue(minutely, hour, hour - 3_600_000), hour - 3_540_000)
})

test('whatever happens, it goes forward and makes only what is due', () => {
  const rules: DueRule[] = [
    minutely,
    { cron: '*/7 2-3 * * *', timeZone: 'Europe/Berlin' },
    { cron: '30 2 * * *', timeZone: 'America/New_York' },
    { everyMs: 1_000, anchorAt: hour - 500 },
    { everyMs: 86_400_000, anchorAt: hour },
  ]
  fc.assert(
    fc.property(
      fc.constantFrom(...rules),
      fc.constantFrom(...missedRules),
      fc.constantFrom(...overlapRules),
      fc.nat(400 * 86_400_000),
      fc.oneof(fc.nat(120_000), fc.nat(30 * 86_400_000)),
      (rule, missed, overlap, start, late) => {
        const nextAt = nextDue(rule, hour + start)!
        const now = nextAt + late
        const decision = decideDue({ rule, nextAt, missed, overlap, now })
        assert.ok(decision.nextAt! > now)
        assert.ok(decision.lastAt >= nextAt && decision.lastAt <= now)
        assert.deepEqual(
          decision.make,
          [...new Set(decision.make)].sort((a, b) => a - b),
        )
        for (const at of decision.make) assert.ok(at >= nextAt && at <= now && nextDue(rule, at - 1) === at)
        // Nothing due lies between the newest and now.
        assert.ok(nextDue(rule, decision.lastAt)! > now)
        if (missed === 'once' || !decision.isLate) assert.equal(decision.make.length, 1)
        if (missed === 'all' && overlap === 'allow' && !decision.more) assert.equal(decision.make.length, decision.passed)
      },
    ),
    { numRuns: 150 },
  )
})
