import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readCronText } from '../../app/task/cron-text.ts'
import { newestDue, nextDue, upcoming } from '../../app/task/due-times.ts'
import type { DueRule } from '../../app/task/schedule.ts'
import { readTimeZone, timeZones } from '../../app/task/time-zone.ts'
import { asText, slowTimes } from './slow-cron.ts'

const iso = (times: readonly number[]) => times.map(at => new Date(at).toISOString().replace('.000Z', 'Z'))
const next = (cron: string, timeZone: string, from: string, count: number) => iso(upcoming({ cron, timeZone }, Date.parse(from), count))

describe('a clock that is set forward', () => {
  test('Berlin, 29 March 2026: 02:30 does not come, so what is due then comes at 03:00, once', () => {
    assert.deepEqual(next('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z', 3), [
      '2026-03-28T01:30:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:30:00Z',
    ])
  })
  test('New York, 8 March 2026', () => {
    assert.deepEqual(next('30 2 * * *', 'America/New_York', '2026-03-07T08:00:00Z', 2), ['2026-03-08T07:00:00Z', '2026-03-09T06:30:00Z'])
  })
  test('Lord Howe, 4 October 2026: by half an hour', () => {
    assert.deepEqual(next('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00:00Z', 2), ['2026-10-03T15:30:00Z', '2026-10-04T15:15:00Z'])
  })
  test('what comes each second or every few minutes goes on at the end of the jump, seen from before and from behind', () => {
    for (const [timeZone, jump] of [
      ['Europe/Berlin', '2026-03-29T01:00:00Z'],
      ['Antarctica/Troll', '2026-03-29T01:00:00Z'],
      ['Australia/Lord_Howe', '2026-10-03T15:30:00Z'],
    ] as const) {
      const at = Date.parse(jump)
      for (const [cron, before, after] of [
        ['* * * * * *', [-2, -1], [0, 1, 2]],
        ['*/5 * * * * *', [-10, -5], [0, 5, 10]],
        ['*/5 * * * *', [-600, -300], [0, 300, 600]],
        ['*/7 * * * *', [-660, -240], timeZone === 'Australia/Lord_Howe' ? [300, 720, 1140] : [0, 420, 840]],
      ] as const) {
        const rule = { cron, timeZone }
        const seconds = (times: readonly number[]) => times.map(time => (time - at) / 1_000)
        assert.deepEqual(seconds(newestDue(rule, at - 1, 2)), before, `${cron} in ${timeZone}`)
        for (const from of [at - 1, at - 1_000]) assert.deepEqual(seconds(upcoming(rule, from, 3)), after, `${cron} in ${timeZone}`)
        assert.deepEqual(seconds(newestDue(rule, at + after[2] * 1_000, 5)), [...before, ...after], `${cron} in ${timeZone}`)
      }
    }
  })
  test('what comes every half hour goes on every half hour', () => {
    assert.deepEqual(next('*/30 * * * *', 'Europe/Berlin', '2026-03-29T00:10:00Z', 3), [
      '2026-03-29T00:30:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-29T01:30:00Z',
    ])
  })
})

describe('a clock that is set back', () => {
  test('Berlin, 25 October 2026: 02:30 comes twice, and is due the first time only', () => {
    assert.deepEqual(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2), ['2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'])
  })
  test('New York, 1 November 2026', () => {
    assert.deepEqual(next('30 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z', 2), ['2026-11-01T05:30:00Z', '2026-11-02T06:30:00Z'])
  })
  test('Lord Howe, 5 April 2026: 01:45 comes twice', () => {
    assert.deepEqual(next('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00:00Z', 3), [
      '2026-04-04T14:45:00Z',
      '2026-04-05T15:15:00Z',
      '2026-04-06T15:15:00Z',
    ])
  })
  test('what comes every half hour goes on every half hour, five times an hour by the clock', () => {
    const times = next('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:45:00Z', 5)
    assert.deepEqual(times, [
      '2026-10-25T00:00:00Z',
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:00:00Z',
      '2026-10-25T01:30:00Z',
      '2026-10-25T02:00:00Z',
    ])
  })
})

describe('cron texts', () => {
  test('a zone without summer time, seconds, nicknames, L and #', () => {
    assert.deepEqual(next('@daily', 'Asia/Shanghai', '2026-03-29T00:00:00Z', 2), ['2026-03-29T16:00:00Z', '2026-03-30T16:00:00Z'])
    assert.deepEqual(next('*/20 * * * * *', 'UTC', '2026-01-01T00:00:00Z', 2), ['2026-01-01T00:00:20Z', '2026-01-01T00:00:40Z'])
    assert.deepEqual(next('0 0 L * *', 'UTC', '2026-02-01T00:00:00Z', 2), ['2026-02-28T00:00:00Z', '2026-03-31T00:00:00Z'])
    assert.deepEqual(next('0 9 * * FRI#2', 'UTC', '2026-01-01T00:00:00Z', 2), ['2026-01-09T09:00:00Z', '2026-02-13T09:00:00Z'])
    assert.deepEqual(next('0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', 1), ['2028-02-29T00:00:00Z'])
  })
  test('a day that never comes has no next time', () => {
    assert.equal(nextDue({ cron: '0 0 30 2 *', timeZone: 'UTC' }, 0), null)
  })
  const faults: [string, RegExp][] = [
    ['', /is empty\. Write it like 30 2 \* \* \*/],
    ['* * * *', /has 4 fields; it needs five/],
    ['1 2 3 4 5 6 7', /has 7 fields/],
    ['61 * * * *', /"61" as its minute, .*0 to 59/],
    ['0 24 * * *', /"24" as its hour, .*0 to 23/],
    ['0 0 0 * *', /"0" as its day of the month/],
    ['0 0 1 13 *', /"13" as its month, .*JAN to DEC/],
    ['0 0 * * 8', /"8" as its weekday/],
    ['99 0 0 * * *', /"99" as its second/],
    ['5-1 * * * *', /"5-1" as its minute/],
    ['*/0 * * * *', /"\*\/0" as its minute/],
    ['@reboot', /add a FOREVER task/],
    ['@fortnightly', /there are @hourly, @daily/],
    ['2026-01-01T00:00:00', /1 field/],
    [`${'1,'.repeat(150)}1 * * * *`, /characters long/],
    ['\u0663 * * * *', /as its minute/],
  ]
  for (const [text, says] of faults)
    test(`${JSON.stringify(text.slice(0, 30))} is refused in words`, () => {
      const read = readCronText(text, 'UTC')
      assert.ok('fault' in read)
      assert.match(String(read.fault), says)
    })
})

describe('against a slow reading of the clock', () => {
  // Around each day on which these clocks are set, and some ordinary ones.
  const zones: Record<string, string[]> = {
    'Europe/Berlin': ['2026-03-29', '2026-10-25', '2027-02-27'],
    'America/New_York': ['2026-03-08', '2026-11-01', '2028-02-28'],
    'Australia/Lord_Howe': ['2026-04-04', '2026-10-03'],
    'Asia/Shanghai': ['2026-12-31'],
    'Africa/Cairo': ['2026-04-24', '2026-10-29'],
    'America/Santiago': ['2026-04-04', '2026-09-05'],
  }
  const some = (least: number, most: number) =>
    fc.option(
      fc.uniqueArray(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: 4 }).map(list => list.sort((a, b) => a - b)),
      { freq: 2 },
    )
  const fields = fc.record({
    minutes: some(0, 59),
    // The hours in which clocks are set, mostly.
    hours: fc.oneof(some(0, 23), some(0, 4)),
    days: fc.option(some(1, 31), { freq: 1 }),
    months: fc.constant(null),
    weekdays: fc.option(some(0, 6), { freq: 1 }),
  })
  const span = 2 * 86_400_000
  for (const [zone, days] of Object.entries(zones))
    test(zone, () => {
      fc.assert(
        fc.property(fields, fc.constantFrom(...days), fc.integer({ min: 0, max: 86_400_000 }), (given, day, later) => {
          const after = Date.parse(`${day}T00:00:00Z`) - 86_400_000 + later
          const rule: DueRule = { cron: asText(given), timeZone: zone }
          const expected = slowTimes(given, zone, after, after + span)
          const found: number[] = []
          for (let at = nextDue(rule, after); at !== null && at <= after + span; at = nextDue(rule, at)) found.push(at)
          assert.deepEqual(iso(found), iso(expected))
          // Backwards it is the same times.
          const back = newestDue(rule, after + span, 40).filter(at => at > after)
          assert.deepEqual(iso(back), iso(expected.slice(-40)))
        }),
        { numRuns: 12 },
      )
    })
})

describe('every so often', () => {
  test('counts from its anchor and never drifts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 10_000_000 }), fc.nat(1e12), fc.nat(1e9), (everyMs, anchorAt, later) => {
        const rule = { everyMs, anchorAt }
        const after = anchorAt + later
        const at = nextDue(rule, after)!
        assert.ok(at > after && at - after <= everyMs && (at - anchorAt) % everyMs === 0)
        const back = newestDue(rule, at, 3)
        assert.equal(back.at(-1), at)
        assert.ok(back.every(time => time > anchorAt))
      }),
    )
  })
  test('the first time is one interval after the anchor, also when asked earlier', () => {
    assert.deepEqual(upcoming({ everyMs: 5_000, anchorAt: 100_000 }, 0, 2), [105_000, 110_000])
    assert.deepEqual(newestDue({ everyMs: 5_000, anchorAt: 100_000 }, 104_999, 5), [])
  })
})

describe('time zones', () => {
  test('are found whatever their case, and those that are none are told with the nearest', () => {
    assert.deepEqual(readTimeZone('europe/berlin'), { timeZone: 'Europe/Berlin' })
    assert.deepEqual(readTimeZone('Asia/Calcutta'), { timeZone: 'Asia/Calcutta' })
    for (const [given, says] of [
      ['Berlin', /did you mean Europe\/Berlin\?/],
      ['New York', /America\/New_York/],
      ['Europe/Berln', /Europe\/Berlin/],
      ['', /names are like/],
      ['Mars/Phobos', /There is no time zone "Mars\/Phobos"/],
    ] as const) {
      const read = readTimeZone(given)
      assert.ok('fault' in read)
      assert.match(String(read.fault), says)
    }
  })
  test('every zone of the list can be asked for times', () => {
    for (const timeZone of timeZones()) assert.notEqual(nextDue({ cron: '0 12 * * *', timeZone }, Date.parse('2026-01-01')), null, timeZone)
  })
})
