import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { inPackage } from '../../app/paths.ts'
import { insertSchedule } from '../../app/store/insert-schedule.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'
import { newSchedule } from '../store/new-schedule.ts'

const dues = (scene: Scene, scheduleId: number) =>
  scene.background.db.kysely
    .selectFrom('bg_schedule_due')
    .leftJoin('bg_task', 'bg_task.id', 'bg_schedule_due.task_id')
    .select(['due_at', 'task_id', 'run_at', 'state', 'number'])
    .where('schedule_id', '=', scheduleId)
    .orderBy('due_at')
    .execute()

for (const dialect of dialects) {
  describe(`a supervisor and schedules on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('two hosts, one of them killed and started again: each due time becomes one task, and it runs', { timeout: 120_000 }, async t => {
      const databaseUrl = await dialect.newUrl()
      const second = mkdtempSync(join(tmpdir(), 'bgtask-second-host-'))
      const one = await makeScene(t, { databaseUrl })
      const two = await makeScene(t, { databaseUrl, runtime: second })
      t.after(() => rmSync(second, { recursive: true, force: true, maxRetries: 5 }))
      const [first] = await Promise.all([one.supervise(), two.supervise()])
      const schedule = await one.background.addSchedule('each-second', { everyMs: 1_000, action: 'test/ok', missed: 'all' })
      const made = (least: number) =>
        until(`${least} tasks`, async () => ((await dues(one, schedule.id)).length >= least ? true : null), 40_000, one.supervisorLog)
      await made(2)
      await first.kill()
      await made(4)
      await one.supervise()
      await made(5)
      await one.background.removeSchedule('each-second')
      const rows = await dues(one, schedule.id)
      const anchor = 'everyMs' in schedule.rule ? schedule.rule.anchorAt : 0
      assert.deepEqual(
        rows.map(row => Number(row.due_at)),
        rows.map((_, index) => anchor + (index + 1) * 1_000),
      )
      assert.equal(new Set(rows.map(row => row.task_id)).size, rows.length)
      await one.untilState(Number(rows[0]!.task_id), 'succeeded')
    })

    test('the nightly clean-up of the examples, and a cron run each minute', { timeout: 60_000 }, async t => {
      const scene = await makeScene(t, {
        databaseUrl: await dialect.newUrl(),
        env: { BGTASK_ACTIONS: inPackage('app', 'actions'), BGTASK_MODULES: join(tmpdir(), 'bgtask-no-modules') },
      })
      const exports = join(scene.runtime, 'exports')
      mkdirSync(exports)
      const monthAgo = Date.now() / 1_000 - 31 * 86_400
      for (const name of ['old.csv', 'new.csv']) writeFileSync(join(exports, name), '1\r\n')
      utimesSync(join(exports, 'old.csv'), monthAgo, monthAgo)
      await scene.supervise()
      const { db } = scene.background
      const declared = [
        await scene.background.addSchedule('nightly-clean-up', {
          cron: '30 2 * * *',
          timeZone: 'Europe/Berlin',
          action: 'demo/clean-up',
          params: { days: 30 },
          overlap: 'skip',
        }),
        await scene.background.addSchedule('cron', { cron: '* * * * *', action: 'core/cron', overlap: 'skip' }),
      ]
      // The night comes sooner.
      for (const { id } of declared) await db.kysely.updateTable('bg_schedule').set({ next_at: Date.now() }).where('id', '=', id).execute()
      for (const { id } of declared) {
        const [due] = await until('it is served', async () => {
          const rows = await dues(scene, id)
          return rows.length > 0 ? rows : null
        })
        await scene.untilState(Number(due!.task_id), 'succeeded', 30_000)
      }
      assert.deepEqual(readdirSync(exports), ['new.csv'])
    })
  })
}

test('what was due while no supervisor ran is made on its return, by each rule; a paused one makes nothing', {
  timeout: 60_000,
}, async t => {
  const scene = await makeScene(t)
  const { db } = scene.background
  const hourAgo = Math.floor(Date.now() / 1_000) * 1_000 - 3_600_000 - 30_000
  const add = async (name: string, more: Parameters<typeof newSchedule>[2]) =>
    (
      await insertSchedule(
        db,
        newSchedule(name, hourAgo, { rule: { everyMs: 600_000, anchorAt: hourAgo }, nextAt: hourAgo + 600_000, ...more }),
        hourAgo,
      )
    ).schedule
  const once = await add('once', { missed: 'once' })
  const all = await add('all', { missed: 'all' })
  const skip = await add('skip', { missed: 'skip', rule: { everyMs: 3_000_000, anchorAt: hourAgo }, nextAt: hourAgo + 3_000_000 })
  const broken = await add('broken', { rule: { cron: 'no cron text', timeZone: 'UTC' } })
  const paused = await add('paused', { nextAt: null })
  await scene.supervise()
  const note = async (id: number) =>
    (await db.kysely.selectFrom('bg_schedule').select(['note', 'next_at']).where('id', '=', id).executeTakeFirstOrThrow()).note
  for (const { id, name } of [once, all, skip, broken]) await until(`${name} is served`, () => note(id), 15_000, scene.supervisorLog)
  const shown = async (id: number) => (await dues(scene, id)).map(row => (Number(row.run_at) - hourAgo) / 600_000)
  assert.deepEqual(await shown(once.id), [6])
  assert.deepEqual(await shown(all.id), [1, 2, 3, 4, 5, 6])
  assert.deepEqual(await shown(skip.id), [])
  assert.deepEqual(await shown(paused.id), [])
  const told = JSON.parse((await note(all.id))!) as object
  assert.deepEqual(told, {
    code: 'missed',
    at: (told as { at: number }).at,
    from: hourAgo + 600_000,
    to: hourAgo + 3_600_000,
    passed: 6,
    more: false,
    made: 6,
  })
  // One that cannot be made holds nobody up, and says why.
  assert.match((await note(broken.id))!, /"code":"failed".*has 3 fields/)
})
