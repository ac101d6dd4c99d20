import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { changeSchedule, moveSchedule, setScheduleWanted } from '../../app/store/change-schedule.ts'
import type { Db } from '../../app/store/database.ts'
import { findSchedule } from '../../app/store/find-schedule.ts'
import { insertSchedule } from '../../app/store/insert-schedule.ts'
import { listNextSchedules, listSchedules, nextScheduleAt } from '../../app/store/list-schedules.ts'
import { makeByHand, makeDue } from '../../app/store/make-due.ts'
import { pruneOldest } from '../../app/store/prune-oldest.ts'
import { removeSchedule } from '../../app/store/remove-schedule.ts'
import { scheduleOfTask } from '../../app/store/schedule-of-task.ts'
import { decideDue } from '../../app/task/decide-due.ts'
import type { Schedule } from '../../app/task/schedule.ts'
import { dialects, freshDb } from './dialects.ts'
import { newSchedule, scheduledOptions } from './new-schedule.ts'

const start = 1_700_000_000_000
const racer = fileURLToPath(new URL('schedule-racer.ts', import.meta.url))

for (const dialect of dialects) {
  describe(`schedules of ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    const add = async (name: string, more: Parameters<typeof newSchedule>[2] = {}) =>
      (await insertSchedule(db, newSchedule(name, start, more), start)).schedule
    const serve = (schedule: Schedule, now: number) => makeDue(db, schedule, decideDue({ ...schedule, nextAt: schedule.nextAt!, now }), now)
    const again = async (schedule: Schedule) => (await findSchedule(db, { id: schedule.id }))!
    const tasksOf = (schedule: Schedule) =>
      db.kysely
        .selectFrom('bg_schedule_due')
        .leftJoin('bg_task', 'bg_task.id', 'bg_schedule_due.task_id')
        .select(['due_at', 'by_hand', 'task_id', 'run_at', 'action', 'params'])
        .where('schedule_id', '=', schedule.id)
        .orderBy('due_at')
        .execute()

    test('a schedule comes back as it was stored, and its name is nobody else’s', async () => {
      const rule = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' }
      const params = { text: 'ä "𝕏" \\' }
      const options = { ...scheduledOptions, uniqueKey: 'k', onConflict: 'replace' as const, timeoutMs: 5 }
      const schedule = await add('nightly', { rule, params, options, missed: 'skip', overlap: 'skip', declared: 'hash', nextAt: start + 5 })
      assert.deepEqual(schedule, {
        id: schedule.id,
        name: 'nightly',
        rule,
        action: 'test/ok',
        params,
        options,
        missed: 'skip',
        overlap: 'skip',
        wanted: 'up',
        nextAt: start + 5,
        lastAt: null,
        lastTaskId: null,
        note: null,
        madeBy: 'kim',
        madeFrom: 'panel',
        declared: 'hash',
        editedBy: null,
        editedAt: null,
        revision: 0,
        createdAt: start,
        updatedAt: start,
      })
      assert.deepEqual(await insertSchedule(db, newSchedule('nightly', start), start + 1), { schedule, added: false })
      assert.deepEqual((await add('Nightly')).name, 'Nightly')
    })

    test('a due time becomes one task, which knows its schedule', async () => {
      const schedule = await add('one')
      const made = await serve(schedule, start + 1_500)
      assert.equal(made?.tasks.length, 1)
      const [task] = made!.tasks
      assert.deepEqual([task!.runAt, task!.type, task!.params, task!.state], [start + 1_000, 'nightly', { name: 'one' }, 'waiting'])
      const after = await again(schedule)
      assert.deepEqual([after.nextAt, after.lastAt, after.lastTaskId, after.note], [start + 2_000, start + 1_000, task!.id, null])
      assert.deepEqual(await scheduleOfTask(db, task!.id), {
        scheduleId: schedule.id,
        name: 'one',
        dueAt: start + 1_000,
        byHand: false,
      })
      // Whoever read it before is too late.
      assert.equal(await serve(schedule, start + 1_600), null)
      assert.equal((await tasksOf(schedule)).length, 1)
    })

    test('a clock that was set back makes nothing twice', async () => {
      const schedule = await add('set-back')
      await serve(schedule, start + 3_500)
      assert.equal((await tasksOf(schedule)).length, 3)
      const later = await again(schedule)
      assert.equal(await moveSchedule(db, later, start + 2_000), true)
      const made = await serve(await again(schedule), start + 2_100)
      assert.deepEqual(made!.tasks, [])
      assert.equal((await again(schedule)).nextAt, start + 3_000)
      await serve(await again(schedule), start + 4_100)
      assert.deepEqual(
        (await tasksOf(schedule)).map(row => Number(row.run_at)),
        [1, 2, 3, 4].map(seconds => start + seconds * 1_000),
      )
    })

    test('one that must not overlap passes a due time over while its task has not ended', async () => {
      const schedule = await add('alone', { overlap: 'skip' })
      const [task] = (await serve(schedule, start + 1_000))!.tasks
      assert.deepEqual(await serve(await again(schedule), start + 2_000), {
        tasks: [],
        note: { code: 'overlap', at: start + 2_000, dueAt: start + 2_000, taskId: task!.id },
      })
      await db.kysely.updateTable('bg_task').set({ state: 'succeeded', due: null }).where('id', '=', task!.id).execute()
      assert.equal((await serve(await again(schedule), start + 3_000))!.tasks.length, 1)
      assert.deepEqual(
        (await tasksOf(schedule)).map(row => row.task_id !== null),
        [true, false, true],
      )
    })

    test('a unique key goes for its tasks: the one that waits is kept', async () => {
      const schedule = await add('keyed', { options: { ...scheduledOptions, uniqueKey: 'nightly-key' } })
      const made = (await serve(schedule, start + 3_000))!.tasks
      assert.equal(new Set(made.map(task => task.id)).size, 1)
      assert.equal((await tasksOf(schedule)).length, 3)
    })

    test('by hand it makes a task at once, also when it is paused and twice within a millisecond', async () => {
      const schedule = await add('by-hand')
      await setScheduleWanted(db, schedule, { wanted: 'down', nextAt: null }, start)
      const [a, b] = [await makeByHand(db, schedule, 'kim', start + 1_000), await makeByHand(db, schedule, 'kim', start + 1_000)]
      assert.notEqual(a.task.id, b.task.id)
      assert.equal((await scheduleOfTask(db, a.task.id))!.byHand, true)
      assert.equal((await again(schedule)).lastTaskId, b.task.id)
      // The same moment may come by its rule as well.
      await setScheduleWanted(db, await again(schedule), { wanted: 'up', nextAt: start + 1_000 }, start)
      assert.equal((await serve(await again(schedule), start + 1_000))!.tasks.length, 1)
    })

    test('a change by one who read it too early is refused, and so is a task by an older rule', async () => {
      const schedule = await add('changed')
      const wish = newSchedule('changed', start, { rule: { everyMs: 5_000, anchorAt: start } })
      const change = { ...wish, nextAt: start + 5_000, editedBy: 'kim' }
      assert.equal(await changeSchedule(db, schedule, change, start + 10), true)
      assert.equal(await changeSchedule(db, schedule, change, start + 20), false)
      assert.equal(await serve(schedule, start + 1_000), null)
      const after = await again(schedule)
      assert.deepEqual([after.rule, after.nextAt, after.editedBy, after.editedAt], [change.rule, start + 5_000, 'kim', start + 10])
    })

    test('lists: by name, and by what is due next', async () => {
      const names = (await listSchedules(db, { limit: 100 })).map(({ name }) => name)
      assert.deepEqual(names, [...names].sort())
      assert.deepEqual(
        (await listSchedules(db, { limit: 1, after: names[0]! })).map(({ name }) => name),
        [names[1]],
      )
      const [first] = await listNextSchedules(db, 1)
      assert.equal(await nextScheduleAt(db, []), first!.nextAt)
      assert.ok((await nextScheduleAt(db, [first!.id]))! >= first!.nextAt!)
    })

    test('what it made stays when it is removed, and is pruned in time', async () => {
      const schedule = await add('gone')
      const [task] = (await serve(schedule, start + 1_000))!.tasks
      assert.equal(await removeSchedule(db, { ...schedule, revision: schedule.revision + 1 }), 'changed')
      assert.equal(await removeSchedule(db, schedule), 'removed')
      assert.equal(await removeSchedule(db, schedule), 'gone')
      assert.equal((await scheduleOfTask(db, task!.id))!.name, null)
      while ((await pruneOldest(db, 'bg_schedule_due', start + 1_001, 2)) > 0);
      assert.equal(await scheduleOfTask(db, task!.id), null)
    })

    test('several supervisors, some of them killed: each due time is one task, and none is lost', { timeout: 120_000 }, async () => {
      const schedule = await add('raced', { missed: 'all' })
      const steps = 60
      const run = (from: number, count: number) => spawn(process.execPath, [racer, db.url, 'raced', String(from), String(count)])
      // Their clocks differ, so that each is ahead at some times.
      const racers = [run(start, steps), run(start + 300, steps), run(start - 700, steps)]
      const victims = [run(start, steps), run(start + 500, steps)]
      // SIGKILL while they are at work. Both are listened to at once: what a child that has ended had written is thrown away.
      for (const victim of victims) victim.stdout.once('data', () => victim.kill('SIGKILL'))
      const all = [...racers, ...victims]
      await Promise.all(all.map(child => (child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null)))
      assert.deepEqual(
        racers.map(child => child.exitCode),
        [0, 0, 0],
      )
      const due = (await tasksOf(schedule)).map(row => Number(row.due_at))
      const last = Number((await again(schedule)).lastAt)
      assert.ok(last >= start + (steps - 1) * 1_000)
      assert.deepEqual(
        due,
        Array.from({ length: (last - start) / 1_000 }, (_, index) => start + (index + 1) * 1_000),
      )
      const tasks = await db.kysely
        .selectFrom('bg_task')
        .select(['run_at'])
        .where('params', '=', '{"name":"raced"}')
        .orderBy('run_at')
        .execute()
      assert.deepEqual(
        tasks.map(task => Number(task.run_at)),
        due,
      )
    })
  })
}
