import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instantIn, localIn } from '../../app/task/local-time.ts'

test('what clocks show in a zone, and when they do', () => {
  for (const [zone, local, instant] of [
    ['UTC', '2026-11-21T08:00', '2026-11-21T08:00:00Z'],
    ['Asia/Shanghai', '2026-11-21T08:00:07', '2026-11-21T00:00:07Z'],
    ['Europe/Berlin', '2026-07-01T00:30', '2026-06-30T22:30:00Z'],
    ['America/New_York', '2026-12-31T23:59:59', '2027-01-01T04:59:59Z'],
    ['Asia/Kathmandu', '2026-02-28T05:45', '2026-02-28T00:00:00Z'],
    ['+01:00', '2026-02-28T05:45', '2026-02-28T04:45:00Z'],
  ] as const) {
    const at = instantIn(zone, local)
    assert.equal(at, Date.parse(instant), `${local} in ${zone}`)
    assert.equal(localIn(zone, at!), local.length === 16 ? `${local}:00` : local)
  }
})

test('the days on which clocks are changed: an hour that is twice, and one that is not', () => {
  assert.equal(instantIn('Europe/Berlin', '2026-10-25T02:30'), Date.parse('2026-10-25T00:30:00Z'))
  assert.equal(instantIn('Europe/Berlin', '2026-10-25T03:00'), Date.parse('2026-10-25T02:00:00Z'))
  assert.equal(instantIn('Europe/Berlin', '2026-03-29T02:30'), null)
  assert.equal(instantIn('Europe/Berlin', '2026-03-29T03:00'), Date.parse('2026-03-29T01:00:00Z'))
  assert.equal(instantIn('Australia/Lord_Howe', '2026-04-05T01:45'), Date.parse('2026-04-04T14:45:00Z'))
})

test('what is no date and time', () => {
  for (const none of [
    '',
    'tomorrow',
    '2026-02-30T08:00',
    '2026-13-01T08:00',
    '2026-01-01T24:00',
    '2026-01-01T08:60',
    '2026-01-01T08:00:60',
    '2026-01-01 08:00',
  ])
    assert.equal(instantIn('UTC', none), null, none)
})
