import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { findBulk, insertBulk, noteUndone, pruneBulk, sliceItems } from '../../app/store/bulk.ts'
import { cancelMany, deleteMany, putBackMany, restartMany, runMany, startMany, stopMany } from '../../app/store/change-many.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { presentFinal } from '../../app/store/counters.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks, type NewTask } from '../../app/store/insert-task.ts'
import { wishUp } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { TaskState } from '../../app/task/task.ts'
import { runEnd } from '../helpers/run-end.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000
const step = { bulkId: 900, by: '#900', now: now + 5 }

for (const dialect of dialects) {
  describe(`many tasks at once in ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    beforeEach(async () => {
      db = await freshDb(dialect)
    })
    const add = async (...tasks: Partial<NewTask>[]): Promise<number[]> =>
      (
        await insertTasks(
          db,
          tasks.map(more => newTask({ runAt: now, ...more })),
          { now },
        )
      ).map(({ task }) => task.id)
    const loop = (more: Partial<NewTask> = {}) => ({ action: 'a/loop', execType: 'FOREVER' as const, ...more })
    const is = (id: number, values: { state?: TaskState; wanted?: 'up' | 'down' }) =>
      db.kysely.updateTable('bg_task').set(values).where('id', '=', id).execute()
    const look = async (ids: readonly number[]) => {
      const tasks = await Promise.all(ids.map(id => findTask(db, id)))
      return tasks.map(task => task && `${task.state} ${task.wanted} ${task.reason?.code}${task.reason?.by ? ` ${task.reason.by}` : ''}`)
    }
    const items = (id: number) => sliceItems(db, id, { after: 0, atOnce: 100 })

    test('loops are stopped, each said so, and put back as far as nobody started them since', async () => {
      const [live, resting, down, once, other] = await add(loop(), loop(), loop(), {}, loop())
      const all = [live!, resting!, down!, once!]
      await is(live!, { state: 'running' })
      await is(down!, { wanted: 'down' })
      assert.deepEqual(await stopMany(db, all.toReversed(), step), { changed: 2, held: 0 })
      assert.deepEqual(await look([live!, resting!]), ['running down stopping #900', 'stopped down stopped-by-wish #900'])
      assert.equal((await findTask(db, once!))!.wanted, 'up')
      assert.equal((await findTask(db, other!))!.wanted, 'up')
      assert.deepEqual(await items(900), [live, resting])
      // Said twice it is done once, and what is remembered stays.
      assert.deepEqual(await stopMany(db, all, step), { changed: 0, held: 0 })
      assert.deepEqual(await items(900), [live, resting])

      await wishUp(db, resting!, 'kim', now + 7)
      const undo = { bulkId: 901, by: '#901', now: now + 9, of: 900, act: 'stop' }
      assert.deepEqual(await putBackMany(db, all, undo), { changed: 1, held: 0 })
      assert.deepEqual(await items(900), [])
      assert.deepEqual(
        (await Promise.all([live, resting, down].map(id => findTask(db, id!)))).map(task => task!.wanted),
        ['up', 'up', 'down'],
      )
      assert.equal((await findTask(db, resting!))!.reason!.by, 'kim')
      assert.deepEqual(await putBackMany(db, all, undo), { changed: 0, held: 0 })
    })

    test('loops are started but for those whose unique key another has by now, and stopped again', async () => {
      const [older] = await add(loop({ uniqueKey: 'k' }))
      await is(older!, { wanted: 'down' })
      const [newer, free] = await add(loop({ uniqueKey: 'k', onConflict: 'replace' }), loop())
      await is(free!, { wanted: 'down' })
      assert.deepEqual(await startMany(db, [older!, newer!, free!], step), { changed: 1, held: 1 })
      assert.deepEqual(
        (await Promise.all([older, newer, free].map(id => findTask(db, id!)))).map(task => task!.wanted),
        ['down', 'up', 'up'],
      )
      assert.deepEqual(await look([free!]), ['stopped up added #900'])
      assert.deepEqual(await putBackMany(db, [older!, newer!, free!], { ...step, of: 900, act: 'start' }), { changed: 1, held: 0 })
      assert.deepEqual(await look([free!]), ['stopped down stopped-by-wish #900'])
    })

    test('a loop is restarted once by an act, however often that is repeated', async () => {
      const [up, down] = await add(loop(), loop())
      await is(down!, { wanted: 'down' })
      const wish = async () => (await findTask(db, up!))!.wish
      const before = await wish()
      assert.deepEqual(await restartMany(db, [up!, down!], step), { changed: 1, held: 0 })
      assert.deepEqual(await restartMany(db, [up!, down!], step), { changed: 0, held: 0 })
      assert.equal(await wish(), before + 1)
      assert.equal((await findTask(db, down!))!.wanted, 'down')
      assert.equal((await restartMany(db, [up!], { ...step, bulkId: 902 })).changed, 1)
    })

    test('what waits is cancelled and counted, what follows by its key goes on, and all is put back for its time', async () => {
      const [plain, late, keyed, running] = await add({}, { runAt: now + 9_000 }, { uniqueKey: 'k' }, { uniqueKey: 'r' })
      const claimed = (await claimTask(db, (await findTask(db, running!))!, owner, now))!
      // It replaced one that still runs, and waits for its end.
      const [after] = await add({ uniqueKey: 'r', onConflict: 'replace' })
      const all = [plain!, late!, keyed!, running!, after!]
      assert.deepEqual(await cancelMany(db, all, step), { changed: 4, held: 0 })
      assert.deepEqual(await look([plain!, late!, keyed!, after!]), Array(4).fill('cancelled down cancelled #900'))
      assert.equal((await findTask(db, claimed.id))!.state, 'running')
      assert.equal((await presentFinal(db.kysely)).cancelled, 4)
      // The key of the running one is its own again: nobody else may run beside it.
      const [again] = await insertTasks(db, [newTask({ uniqueKey: 'r', onConflict: 'keep' })], { now })
      assert.equal(again!.task.id, claimed.id)

      await add({ uniqueKey: 'k' })
      assert.deepEqual(await putBackMany(db, all, { bulkId: 901, by: '#901', now: now + 9, of: 900, act: 'cancellation' }), {
        changed: 2,
        held: 2,
      })
      const waits = await db.kysely
        .selectFrom('bg_task')
        .select(['id', 'due', 'run_at'])
        .where('id', 'in', [plain!, late!])
        .orderBy('id')
        .execute()
      assert.deepEqual(
        waits.map(row => [Number(row.id), row.due, Number(row.run_at)]),
        [
          [plain, 'now', now],
          [late, 'later', now + 9_000],
        ],
      )
      assert.deepEqual(await look([plain!, late!, keyed!]), [
        'waiting up added #901',
        'waiting up due-later #901',
        'cancelled down cancelled #900',
      ])
      assert.equal((await findTask(db, late!))!.reason!.until, now + 9_000)
      assert.equal((await presentFinal(db.kysely)).cancelled, 2)
    })

    test('one that waited for its next try is put back with the tries that it had left, and says so', async () => {
      const [id] = await add({ maxAttempts: 3 })
      const { number } = (await claimTask(db, (await findTask(db, id!))!, owner, now))!
      const end = runEnd('failed', now, { error: 'no', exitCode: 1 })
      await endOnce(db, id!, number, end, task => afterOnce(task, end, now, 0.5))
      const { runAt } = (await findTask(db, id!))!
      await cancelMany(db, [id!], step)
      assert.equal((await putBackMany(db, [id!], { bulkId: 901, by: '#901', now: now + 9, of: 900, act: 'cancellation' })).changed, 1)
      const { attempt, reason } = (await findTask(db, id!))!
      assert.deepEqual([attempt, reason], [1, { code: 'retry', at: now + 9, until: runAt, failures: 1 }])
    })

    test('one that somebody ran again and cancelled since is theirs, and not put back', async () => {
      const [id] = await add({})
      await cancelMany(db, [id!], step)
      await db.kysely
        .updateTable('bg_task')
        .set({ reason: JSON.stringify({ code: 'cancelled', at: now, by: 'kim' }) })
        .where('id', '=', id!)
        .execute()
      assert.deepEqual(await putBackMany(db, [id!], { ...step, of: 900, act: 'cancellation' }), { changed: 0, held: 0 })
      assert.deepEqual(await look([id!]), ['cancelled down cancelled kim'])
    })

    test('those that wait for their time are due now; those that wait for another are not', async () => {
      const [late, due, running] = await add({ runAt: now + 9_000 }, {}, { uniqueKey: 'r' })
      await claimTask(db, (await findTask(db, running!))!, owner, now)
      const [after] = await add({ uniqueKey: 'r', onConflict: 'replace', runAt: now + 9_000 })
      assert.deepEqual(await runMany(db, [late!, due!, running!, after!], step), { changed: 1, held: 0 })
      assert.equal((await findTask(db, late!))!.runAt, step.now)
      assert.equal((await findTask(db, after!))!.runAt, now + 9_000)
    })

    test('what has ended is deleted with its runs and counts, and nothing else', async () => {
      const [first, second, waits] = await add({}, {}, {})
      await cancelMany(db, [first!, second!], step)
      assert.deepEqual(
        (await deleteMany(db, [first!, waits!], now)).map(({ id }) => id),
        [first],
      )
      assert.equal((await presentFinal(db.kysely)).cancelled, 1)
      assert.equal(await findTask(db, first!), null)
      assert.ok(await findTask(db, waits!))
      assert.deepEqual(await deleteMany(db, [first!], now), [])
      // Undoing the cancellation meets one that is gone.
      assert.deepEqual(await putBackMany(db, [first!, second!], { ...step, of: 900, act: 'cancellation' }), { changed: 1, held: 0 })
    })

    test('what was done is remembered for a while, and undone by one alone', async () => {
      const bulk = {
        id: 900,
        act: 'stop' as const,
        filter: { action: 'a/b' },
        upTo: 8,
        expected: 250,
        isAll: true,
        askedBy: 'kim',
        undoOf: null,
      }
      await insertBulk(db.kysely, { ...bulk, askedAt: now })
      await insertBulk(db.kysely, { ...bulk, id: 901, askedAt: now + 10 })
      assert.deepEqual(await findBulk(db, 900), { ...bulk, askedAt: now, undoneBy: null })
      assert.deepEqual([await noteUndone(db.kysely, 900, 950), await noteUndone(db.kysely, 900, 951)], [true, false])
      const ids = await add(...Array.from({ length: 25 }, () => loop()))
      await stopMany(db, ids, step)
      await stopMany(db, await add(loop()), { ...step, bulkId: 901 })
      let rounds = 0
      while ((await pruneBulk(db, now + 5, 10)) > 0) rounds++
      assert.equal(rounds, 3)
      assert.deepEqual([await findBulk(db, 900), await items(900), (await items(901)).length], [null, [], 1])
      assert.ok(await findBulk(db, 901))
    })
  })
}
