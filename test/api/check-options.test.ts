import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOptions } from '../../app/api/check-options.ts'
import { BgtaskError } from '../../app/errors.ts'

const now = Date.UTC(2026, 10, 21, 8)
const none = { maxAttempts: null, timeoutMs: null, graceMs: null }
const check = (given: unknown, limits: Parameters<typeof checkOptions>[1] = none) => checkOptions(given, limits, now)
const refused = (given: unknown, sentence: RegExp) =>
  assert.throws(
    () => check(given),
    (error: unknown) => error instanceof BgtaskError && error.code === 'refused' && sentence.test(error.message),
  )

test('without options: a ONCE task, due now, with the defaults', () => {
  const { execType, runAt, priority, maxAttempts, timeoutMs, graceMs, rerunAfterCrash, uniqueKey, onConflict, type, creator, trx } =
    check(undefined)
  assert.deepEqual(
    { execType, runAt, priority, maxAttempts, timeoutMs, graceMs, rerunAfterCrash, uniqueKey, onConflict, type, creator, trx },
    {
      execType: 'ONCE',
      runAt: now,
      priority: 0,
      maxAttempts: 1,
      timeoutMs: null,
      graceMs: 10_000,
      rerunAfterCrash: true,
      uniqueKey: null,
      onConflict: 'keep',
      type: '',
      creator: '',
      trx: undefined,
    },
  )
  assert.equal(check('FOREVER').execType, 'FOREVER')
  assert.equal(check({ execType: undefined, timeoutMs: undefined }).execType, 'ONCE')
})

test('what the action says of its limits holds where the caller says nothing', () => {
  const limits = { maxAttempts: 3, timeoutMs: 5000, graceMs: 0 }
  assert.deepEqual([check({}, limits).maxAttempts, check({}, limits).timeoutMs, check({}, limits).graceMs], [3, 5000, 0])
  assert.equal(check({ timeoutMs: null }, limits).timeoutMs, null)
  assert.equal(check({ maxAttempts: 1 }, limits).maxAttempts, 1)
})

test('dates', () => {
  assert.equal(check({ runAt: new Date(now + 5) }).runAt, now + 5)
  assert.equal(check({ runAt: now + 0.4 }).runAt, now)
  assert.equal(check({ runAt: '2026-11-21T09:00:00+01:00' }).runAt, now)
  assert.equal(check({ runAt: '2026-11-21T08:00Z' }).runAt, now)
  assert.equal(check({ runAt: '2026-11-21T13:30:00.000+0530' }).runAt, now)
  assert.equal(check({ runAt: null }).runAt, now)
  assert.equal(check({ delayMs: 60_000 }).runAt, now + 60_000)
  assert.equal(check({ delayMs: 0.4 }).runAt, now)
  for (const none of [
    '2026-11-21 08:00',
    '2026-11-21T08:00:00',
    '2026-11-21',
    '2026-02-30T00:00Z',
    '2026-13-01T00:00Z',
    '2026-11-21T25:00Z',
    'tomorrow',
    '',
    {},
    true,
    Number.NaN,
    -1,
    1e17,
    new Date('x'),
  ]) {
    refused({ runAt: none }, /^runAt is .*; allowed are a Date, milliseconds since 1970/)
  }
  refused({ delayMs: -1 }, /^delayMs is -1; allowed are whole numbers from 0/)
  refused({ delayMs: '5' }, /^delayMs is "5"/)
  refused({ runAt: now, delayMs: 5 }, /Both runAt and delayMs/)
  refused({ execType: 'FOREVER', delayMs: 5 }, /delayMs is given for a FOREVER task/)
})

test('every option refuses what it does not allow, and says what it does', () => {
  refused('forever', /^execType is "forever"; allowed are ONCE, FOREVER\. Did you mean FOREVER\?/)
  refused(5, /third argument is 5/)
  refused([], /third argument is an array/)
  refused({ prioritty: 5 }, /"prioritty" is no option of a task; did you mean priority\?/)
  refused({ x: 5 }, /^"x" is no option of a task; there are execType, type/)
  refused({ zzzzzzzzzzzzzz: 5 }, /no option of a task; there are execType, type/)
  refused({ priority: 1001 }, /^priority is 1001; allowed are whole numbers from -1000 to 1000/)
  refused({ priority: 0.5 }, /^priority is 0\.5/)
  refused({ maxAttempts: 0 }, /^maxAttempts is 0/)
  refused({ timeoutMs: 0 }, /^timeoutMs is 0/)
  refused({ timeoutMs: 2_147_483_648 }, /^timeoutMs/)
  refused({ graceMs: 3_600_001 }, /^graceMs/)
  refused({ rerunAfterCrash: 'no' }, /^rerunAfterCrash is "no"; allowed are true and false/)
  refused({ unique: '' }, /^unique is 0 characters long/)
  refused({ unique: 'x'.repeat(256) }, /^unique is 256 characters long \("x{75}…"\); allowed are 1 to 255/)
  refused({ unique: 5 }, /^unique is 5; it must be text/)
  refused({ onConflict: 'replace' }, /there is no unique key/)
  refused(
    { unique: 'a', onConflict: 'keepLast', execType: 'FOREVER' },
    /^onConflict is "keepLast" for a FOREVER task.*use keep, replace or reject/,
  )
  refused(
    { unique: 'a', onConflict: 'replaces' },
    /^onConflict is "replaces"; allowed are replace, keep, keepLast, reject\. Did you mean replace\?/,
  )
  refused({ type: 'x'.repeat(65) }, /^type is 65 characters long/)
  refused({ creator: 'a\0' }, /^creator has a NUL/)
  refused({ creator: '\ud800' }, /^creator has half of a character/)
  refused({ trx: {} }, /^trx is an object; it must be a Kysely transaction/)
  assert.equal(check({ type: '😀'.repeat(64) }).type.length, 128)
})
