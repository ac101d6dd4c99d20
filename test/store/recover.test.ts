import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { claimTask } from '../../app/store/claim-task.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnceMany } from '../../app/store/end-once.ts'
import { listErrors } from '../../app/store/errors.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks, type NewTask } from '../../app/store/insert-task.ts'
import { listTasks } from '../../app/store/list-tasks.ts'
import { pruneRows } from '../../app/store/prune.ts'
import { countFailed, discardFailed, retryFailed, sliceFailed } from '../../app/store/recover.ts'
import { deleteTask, retryTask } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { runEnd } from '../helpers/run-end.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000

for (const dialect of dialects) {
  describe(`failed tasks in ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    /** Adds tasks that run and fail, all at one time. */
    const fail = async (tasks: (Partial<NewTask> & { says: string; at?: number })[]): Promise<number[]> => {
      const inserted = await insertTasks(
        db,
        tasks.map(({ says: _says, at: _at, ...more }) => newTask({ runAt: now, ...more })),
        { now },
      )
      const ends = []
      for (const [index, { task }] of inserted.entries()) {
        const { number } = (await claimTask(db, task, owner, now + 10))!
        const { says, at = now + 50 } = tasks[index]!
        const end = runEnd('failed', at, { content: says, exitCode: 1 })
        ends.push({ taskId: task.id, number, end, decide: (task: Parameters<typeof afterOnce>[0]) => afterOnce(task, end, at, 0.5) })
      }
      assert.deepEqual([...new Set(await endOnceMany(db, ends))], ['recorded'])
      return inserted.map(({ task }) => task.id)
    }
    const errorsOf = async (action: string) => (await listErrors(db, { limit: 100, action })).map(({ sample, count }) => [sample, count])
    const later = { failedBefore: now + 1_000_000 }

    test('are counted by error, by whatever way they come and go', async () => {
      const action = 'a/counted'
      const [first, second, third, fourth] = await fail([
        { action, says: 'order 1 has no lines' },
        { action, says: 'order 22 has no lines', at: now + 60 },
        { action, says: 'disk is full', at: now + 70 },
        { action, says: 'order 3 has no lines', at: now + 40 },
      ])
      assert.deepEqual(await errorsOf(action), [
        ['disk is full', 1],
        ['order 3 has no lines', 3],
      ])
      const [, lines] = await listErrors(db, { limit: 2, action })
      assert.deepEqual([lines!.firstAt, lines!.lastAt], [now + 40, now + 60])
      assert.deepEqual(
        (await listTasks(db, { error: lines!.key, states: ['failed'] }, { limit: 10 })).tasks.map(({ id }) => id),
        [fourth, second, first],
      )
      assert.equal(await retryTask(db, first!, 'eva', now + 100), true)
      assert.equal(await deleteTask(db, third!), true)
      assert.deepEqual(await errorsOf(action), [['order 3 has no lines', 2]])
      // One that is retried and fails by another error is counted with that.
      const { number } = (await claimTask(db, (await findTask(db, first!))!, owner, now + 110))!
      const end = runEnd('killed', now + 120, { signal: 'SIGKILL' })
      const failed = (task: Parameters<typeof afterOnce>[0]) => afterOnce({ ...task, rerunAfterCrash: false }, end, now + 120, 0.5)
      const ended = { taskId: first!, number, end, decide: failed }
      assert.deepEqual(await endOnceMany(db, [ended]), ['recorded'])
      assert.deepEqual(await endOnceMany(db, [ended]), ['already'], 'said once more, counted once')
      assert.deepEqual(await errorsOf(action), [
        ['killed: SIGKILL', 1],
        ['order 3 has no lines', 2],
      ])
      const pruned = await pruneRows(db, { keepRuns: 10, endedBefore: now + 130, limit: 100 })
      assert.ok(pruned.tasks.length >= 3)
      assert.deepEqual(await errorsOf(action), [])
    })

    test('wait again, those that fit and no others, and none that failed after the call', async () => {
      const action = 'b/retried'
      const [one, two, other, late, held] = await fail(
        [
          { action, says: 'x', creator: 'kim' },
          { action, says: 'y', creator: 'kim', maxAttempts: 3 },
          { action, says: 'x', creator: 'li' },
          { action, says: 'x', creator: 'kim', at: now + 5_000 },
          { action, says: 'x', creator: 'kim', uniqueKey: 'one at a time' },
        ].map(task => ({ ...task, maxAttempts: 1 })),
      )
      const [holder] = await insertTasks(db, [newTask({ action, uniqueKey: 'one at a time' })], { now })
      const filter = { action, creator: 'kim' }
      const before = { failedBefore: now + 1_000 }
      assert.deepEqual(await countFailed(db, filter, before), { count: 3, isAll: true, first: [one!, two!, held!] })
      const { ids } = await sliceFailed(db, filter, { after: null, ...before })
      assert.deepEqual(ids, [one!, two!, held!])
      const counts = await countTasks(db)
      assert.deepEqual(await retryFailed(db, [...ids, late!], { by: 'eva', now: now + 2_000, ...before }), {
        retried: 2,
        held: 1,
      })
      assert.deepEqual(await retryFailed(db, ids, { by: 'eva', now: now + 2_001, ...before }), { retried: 0, held: 1 }, 'once more')
      assert.equal((await countTasks(db)).failed, counts.failed - 2)
      for (const id of [one!, two!]) {
        const { state, attempt, runAt, reason, finishedAt } = (await findTask(db, id))!
        assert.deepEqual([state, attempt, runAt, reason?.by, finishedAt], ['waiting', 0, now + 2_000, 'eva', null])
        assert.ok(await claimTask(db, (await findTask(db, id))!, owner, now + 2_010), 'it is due')
      }
      for (const id of [other!, late!, held!]) assert.equal((await findTask(db, id))!.state, 'failed')
      assert.equal((await findTask(db, holder!.task.id))!.state, 'waiting')
    })

    test('are discarded with their runs, once', async () => {
      const action = 'c/discarded'
      const [one, two] = await fail([
        { action, says: 'x' },
        { action, says: 'x', uniqueKey: 'some key' },
      ])
      const key = (await listErrors(db, { limit: 1, action }))[0]!.key
      assert.equal((await countFailed(db, { error: key }, later)).count, 2)
      assert.deepEqual(await discardFailed(db, [one!, two!], { now, ...later }), [
        { id: one!, number: 1 },
        { id: two!, number: 1 },
      ])
      assert.deepEqual(await discardFailed(db, [one!, two!], { now, ...later }), [])
      assert.equal(await findTask(db, one!), null)
      assert.deepEqual(await db.kysely.selectFrom('bg_run').select('number').where('task_id', 'in', [one!, two!]).execute(), [])
      assert.deepEqual(await errorsOf(action), [])
    })

    test('are left alone where they are of the action that is named', async () => {
      const [one] = await fail(
        [
          { action: 'e/some', says: 'x', type: 'e' },
          { action: 'core/command', says: 'x', type: 'e' },
        ].map(task => ({ ...task })),
      )
      const slice = await sliceFailed(db, { type: 'e' }, { after: null, ...later, without: 'core/command' })
      assert.deepEqual(slice.ids, [one!])
    })

    test('are found a slice at a time, also where a slice has none that fits', async () => {
      const action = 'd/sliced'
      const ids = await fail(Array.from({ length: 25 }, (_, at) => ({ action, says: `fault ${at}`, creator: at < 20 ? 'many' : 'few' })))
      const found: number[] = []
      let slices = 0
      let after: number | null = null
      do {
        const slice = await sliceFailed(db, { action, creator: 'few' }, { after, ...later, atOnce: 10 })
        found.push(...slice.ids)
        slices++
        after = slice.next
      } while (after !== null)
      assert.deepEqual(found, ids.slice(20))
      assert.ok(slices >= 3)
      assert.deepEqual(await countFailed(db, { action }, { ...later, readAtMost: 1 }), { count: 25, isAll: true, first: ids.slice(0, 5) })
    })
  })
}
