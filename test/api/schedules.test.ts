import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ScheduleOptions } from '../../app/api/schedule-options.ts'
import {
  editSchedule,
  existingSchedule,
  makeSchedule,
  pauseSchedule,
  removeSchedule,
  resumeSchedule,
  runSchedule,
} from '../../app/api/schedules.ts'
import { showSchedule } from '../../app/api/show-schedule.ts'
import type { BgtaskError } from '../../app/errors.ts'
import { listAudit } from '../../app/store/audit.ts'
import { databases, openScene, strictAction } from './scene.ts'

const actions = { 'test/plain': "export const execute = async () => 'done'\n", 'test/strict': strictAction }
const person = { by: 'kim', actor: { name: 'kim', ip: null, via: 'form' }, madeFrom: 'panel' } as const
const nightly: ScheduleOptions = { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'test/plain' }

for (const database of databases) {
  describe(`schedules on ${database.name}`, { concurrency: false }, () => {
    const open = async (t: Parameters<typeof openScene>[0]) => {
      const databaseUrl = await database.url()
      return (await openScene(t, { actions, ...(databaseUrl ? { databaseUrl } : {}) })).background
    }

    test('declared again nothing changes; declared otherwise it does, and what people did stays', async t => {
      const background = await open(t)
      const first = await background.addSchedule('nightly', nightly)
      assert.deepEqual([first.rule, first.missed, first.overlap], [{ cron: '30 2 * * *', timeZone: 'Europe/Berlin' }, 'once', 'allow'])
      assert.deepEqual([first.declared !== null, first.madeFrom, first.wanted], [true, 'code', 'up'])
      assert.deepEqual(await background.addSchedule('nightly', nightly), first)

      // A person edits and pauses it: the same declaration leaves both.
      const edited = await editSchedule(background, first, { ...nightly, cron: '0 4 * * *' }, person)
      const paused = await pauseSchedule(background, edited, person)
      assert.deepEqual([paused.wanted, paused.nextAt, paused.editedBy], ['down', null, 'kim'])
      assert.deepEqual(await background.addSchedule('nightly', nightly), paused)

      // Another declaration is applied; the pause stays.
      const changed = await background.addSchedule('nightly', { ...nightly, cron: '0 5 * * *' })
      assert.deepEqual(
        [changed.rule, changed.wanted, changed.nextAt, changed.editedBy],
        [{ cron: '0 5 * * *', timeZone: 'Europe/Berlin' }, 'down', null, null],
      )
      const resumed = await resumeSchedule(background, changed, person)
      assert.ok(resumed.nextAt! > Date.now())

      assert.deepEqual(
        (await background.schedules()).map(({ name }) => name),
        ['nightly'],
      )
      assert.equal(await background.removeSchedule('nightly'), true)
      assert.equal(await background.removeSchedule('nightly'), false)
    })

    test('ten declare it at once: there is one', async t => {
      const background = await open(t)
      const all = await Promise.all(
        Array.from({ length: 10 }, () => background.addSchedule('at-once', { everyMs: 60_000, action: 'test/plain' })),
      )
      assert.equal(new Set(all.map(({ id, nextAt }) => `${id} ${nextAt}`)).size, 1)
    })

    test('what changes the tasks alone leaves the due times as they are', async t => {
      const background = await open(t)
      const first = await background.addSchedule('beat', { everyMs: 60_000, action: 'test/plain' })
      const second = await background.addSchedule('beat', { everyMs: 60_000, action: 'test/plain', priority: -5 })
      assert.deepEqual([second.rule, second.nextAt, second.options.priority], [first.rule, first.nextAt, -5])
    })

    test('every act of a person is told in the audit before it is done, and a name is taken once', async t => {
      const background = await open(t)
      const made = await makeSchedule(background, 'nightly', nightly, person)
      await assert.rejects(makeSchedule(background, 'nightly', nightly, person), {
        code: 'conflict',
        message: /already; take another name/,
      })
      const edited = await editSchedule(background, made, { ...nightly, cron: '@daily' }, person)
      await assert.rejects(editSchedule(background, made, nightly, person), { code: 'busy', message: /changed by somebody else/ })
      const { task } = await runSchedule(background, edited, person)
      assert.equal(task.state, 'waiting')
      await pauseSchedule(background, edited, person)
      await resumeSchedule(background, await existingSchedule(background, { id: made.id }), person)
      await assert.rejects(removeSchedule(background, made, person), { code: 'busy', message: /changed by somebody else/ })
      await removeSchedule(background, await existingSchedule(background, { id: made.id }), person)
      await assert.rejects(existingSchedule(background, { name: 'nightly' }), { code: 'not-found' })
      const rows = await listAudit(background.db, { limit: 50 })
      assert.deepEqual(rows.map(({ act }) => act).reverse(), [
        'schedule-added',
        'schedule-changed',
        'schedule-changed',
        'schedule-changed-failed',
        'schedule-run',
        'schedule-paused',
        'schedule-resumed',
        'schedule-removed',
        'schedule-removed-failed',
        'schedule-removed',
      ])
    })
  })
}

test('what is refused, in words', async t => {
  const { background } = await openScene(t, { actions })
  const cases: [string, unknown, RegExp][] = [
    ['fine', {}, /Neither cron nor everyMs is given; write cron: "30 2/],
    ['fine', { ...nightly, everyMs: 5_000 }, /Both cron and everyMs/],
    ['fine', { ...nightly, cron: '30 25 * * *' }, /"25" as its hour/],
    ['fine', { ...nightly, cron: '0 0 30 2 *' }, /never comes/],
    ['fine', { ...nightly, cron: 5 }, /cron is 5; it must be text/],
    ['fine', { ...nightly, timeZone: 'Berlin' }, /did you mean Europe\/Berlin/],
    ['fine', { everyMs: 10, action: 'test/plain' }, /everyMs is 10; allowed are whole numbers from 1000/],
    ['fine', { everyMs: 5_000, timeZone: 'UTC', action: 'test/plain' }, /timeZone is "UTC" beside everyMs/],
    ['fine', { ...nightly, missed: 'al' }, /missed is "al"; allowed are once, all, skip/],
    ['fine', { ...nightly, overlap: 'no' }, /overlap is "no"; allowed are allow, skip/],
    ['fine', { ...nightly, action: 'test/plane' }, /did you mean test\/plain/],
    ['fine', { ...nightly, action: 'test/strict', params: { rows: 0 } }, /params do not fit test\/strict/],
    ['fine', { ...nightly, execType: 'FOREVER' }, /makes ONCE tasks only/],
    ['fine', { ...nightly, runAt: 5 }, /is for cron or everyMs to say/],
    ['fine', { ...nightly, timezone: 'UTC' }, /did you mean timeZone/],
    ['fine', { ...nightly, unique: 'k', onConflict: 'reject' }, /nobody to tell/],
    ['fine', { ...nightly, priority: 5_000 }, /priority is 5000/],
    ['fine', [], /must be an object like/],
    ['', nightly, /name of the schedule is ""/],
    ['17', nightly, /with a letter among them/],
    ['a b', nightly, /allowed are 1 to 50 letters/],
    ['x'.repeat(51), nightly, /allowed are 1 to 50 letters/],
  ]
  for (const [name, options, says] of cases)
    await t.test(`${name.slice(0, 10)} ${JSON.stringify(options).slice(0, 60)}`, async () => {
      await assert.rejects(background.addSchedule(name, options as ScheduleOptions), (error: BgtaskError) => {
        assert.equal(error.code, 'refused')
        assert.match(error.message, says)
        return true
      })
      assert.deepEqual(await background.schedules(), [])
    })
})

test('secrets among the params are not shown, and are given to the tasks all the same', async t => {
  const { background } = await openScene(t, { actions })
  const schedule = await background.addSchedule('secret', {
    ...nightly,
    params: { password: 'Tr0ub4dor&3', rows: 5 },
    type: 'with Tr0ub4dor&3',
  })
  const shown = JSON.stringify(showSchedule(background.config, schedule))
  assert.doesNotMatch(shown, /Tr0ub4dor/)
  assert.match(shown, /"rows":5/)
  const { task } = await runSchedule(background, schedule, person)
  assert.deepEqual(task.params, { password: 'Tr0ub4dor&3', rows: 5 })
})
