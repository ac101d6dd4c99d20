import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { BgtaskError } from '../../app/errors.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { findTask, findTaskByKey } from '../../app/store/find-task.ts'
import { insertTasks, type NewTask } from '../../app/store/insert-task.ts'
import { listDue, nextDueAt } from '../../app/store/list-due.ts'
import { listLoops } from '../../app/store/list-loops.ts'
import { findRun, listRuns } from '../../app/store/list-runs.ts'
import { pruneRows } from '../../app/store/prune.ts'
import { recentLives } from '../../app/store/recent-lives.ts'
import { returnTask } from '../../app/store/return-task.ts'
import { type LoopFact, saveLoops } from '../../app/store/save-loops.ts'
import { cancelByKey, cancelTask, deleteTask, moveDue, retryTask, runNow, wishDown, wishFresh, wishUp } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { Run } from '../../app/task/run.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000
const ended = {
  kind: 'exited',
  content: null,
  error: null,
  exitCode: 3,
  signal: null,
  endedAt: now + 9,
  iterations: 4,
  peakMemoryBytes: 5,
  cpuMs: 6,
} as const

for (const dialect of dialects) {
  describe(`wishes and loops on ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    const add = async (more: Partial<NewTask> = {}) => (await insertTasks(db, [newTask({ runAt: now, ...more })], { now }))[0]!.task
    const state = async (id: number) => (await findTask(db, id))?.state
    const isDue = async (id: number) => (await listDue(db, 1_000)).some(task => task.id === id)

    test('cancel: a waiting task at once, a running one when its run has ended, a final one not', async () => {
      const waiting = await add({ uniqueKey: 'c1' })
      assert.equal(await cancelTask(db, waiting.id, 'eva', now), 'cancelled')
      assert.deepEqual((await findTask(db, waiting.id))?.reason, { code: 'cancelled', at: now, by: 'eva' })
      assert.equal(await isDue(waiting.id), false)
      assert.equal(await findTaskByKey(db, 'c1'), null)
      assert.equal(await cancelTask(db, waiting.id, 'eva', now + 1), 'already-final')
      assert.equal(await cancelTask(db, 999_999, 'eva', now), null)
      const running = (await claimTask(db, await add({ uniqueKey: 'c2' }), owner, now))!
      assert.deepEqual(await cancelByKey(db, 'c2', 'eva', now), { holder: running.id, cancelled: 'cancelling', next: null })
      assert.deepEqual([(await findTask(db, running.id))?.state, (await findTask(db, running.id))?.wanted], ['running', 'down'])
      await endOnce(db, running.id, 1, ended, task => afterOnce(task, ended, now, 0))
      const final = await findTask(db, running.id)
      assert.deepEqual([final?.state, final?.reason?.by], ['cancelled', 'eva'])
      assert.equal(await cancelByKey(db, 'c2', 'eva', now), null)
    })

    test('retry: a final task waits again with all its tries, unless another has its key', async () => {
      const task = await add({ uniqueKey: 'r1' })
      assert.equal(await retryTask(db, task.id, 'eva', now), false)
      await cancelTask(db, task.id, 'eva', now)
      const before = await countTasks(db)
      assert.equal(await retryTask(db, task.id, 'eva', now), true)
      assert.deepEqual((await countTasks(db)).cancelled, before.cancelled - 1)
      const again = await findTask(db, task.id)
      assert.deepEqual([again?.state, again?.wanted, again?.attempt, again?.crashCount, again?.finishedAt], ['waiting', 'up', 0, 0, null])
      assert.equal(await isDue(task.id), true)
      await cancelTask(db, task.id, 'eva', now)
      const other = await add({ uniqueKey: 'r1' })
      await assert.rejects(
        retryTask(db, task.id, 'eva', now),
        (error: BgtaskError) => error.code === 'conflict' && /"r1"/.test(error.message),
      )
      assert.equal(await state(task.id), 'cancelled')
      assert.equal((await findTaskByKey(db, 'r1'))?.id, other.id)
      assert.equal(await retryTask(db, 999_999, 'eva', now), false)
    })

    test('put back: what was cancelled while it waited waits as it did, and nothing else does', async () => {
      const task = await add({ uniqueKey: 'b1', runAt: now + 1e12, maxAttempts: 3 })
      assert.equal(await returnTask(db, task.id, 'eva', now), false)
      await cancelTask(db, task.id, 'eva', now)
      const before = await countTasks(db)
      assert.equal(await returnTask(db, task.id, 'kim', now + 5), true)
      assert.equal((await countTasks(db)).cancelled, before.cancelled - 1)
      const back = await findTask(db, task.id)
      assert.deepEqual(
        [back?.state, back?.wanted, back?.runAt, back?.finishedAt, back?.reason],
        ['waiting', 'up', now + 1e12, null, { code: 'due-later', at: now + 5, until: now + 1e12, by: 'kim' }],
      )
      assert.equal((await findTaskByKey(db, 'b1'))?.id, task.id)
      assert.equal(await nextDueAt(db), now + 1e12)
      assert.equal(await isDue(task.id), false)
      // Its key was taken meanwhile.
      await cancelTask(db, task.id, 'eva', now)
      const other = await add({ uniqueKey: 'b1' })
      const isTaken = (error: BgtaskError) => error.code === 'conflict' && /"b1"/.test(error.message)
      await assert.rejects(returnTask(db, task.id, 'eva', now), isTaken)
      assert.equal(await state(task.id), 'cancelled')
      assert.equal((await findTaskByKey(db, 'b1'))?.id, other.id)
      await cancelTask(db, other.id, 'eva', now)
      assert.equal(await returnTask(db, other.id, 'eva', now), true)
      assert.equal(await isDue(other.id), true)
      await cancelTask(db, other.id, 'eva', now)
      assert.equal(await returnTask(db, 999_999, 'eva', now), false)
    })

    test('put back: with the tries that were left; not what ran when it was cancelled, or was replaced', async () => {
      const tried = (await claimTask(db, await add({ maxAttempts: 3 }), owner, now))!
      const failed = { ...ended, kind: 'failed' } as const
      await endOnce(db, tried.id, 1, failed, task => afterOnce(task, failed, now, 0))
      const waiting = (await findTask(db, tried.id))!
      await cancelTask(db, tried.id, 'eva', now)
      assert.equal(await returnTask(db, tried.id, 'eva', now), true)
      const back = (await findTask(db, tried.id))!
      assert.deepEqual([back.attempt, back.runAt, back.reason?.code, back.reason?.failures], [1, waiting.runAt, 'retry', 1])
      await cancelTask(db, tried.id, 'eva', now)
      const running = (await claimTask(db, await add(), owner, now))!
      await cancelTask(db, running.id, 'eva', now)
      assert.equal(await returnTask(db, running.id, 'eva', now), false)
      await endOnce(db, running.id, 1, ended, task => afterOnce(task, ended, now, 0))
      assert.equal(await state(running.id), 'cancelled')
      assert.equal(await returnTask(db, running.id, 'eva', now), false)
      const replaced = await add({ uniqueKey: 'b2', runAt: now + 1e12 })
      const newer = await add({ uniqueKey: 'b2', runAt: now + 1e12, onConflict: 'replace' })
      assert.equal(await returnTask(db, replaced.id, 'eva', now), false)
      await cancelTask(db, newer.id, 'eva', now)
      assert.equal(await returnTask(db, replaced.id, 'eva', now), false)
    })

    test('run now, and another due time', async () => {
      const task = await add({ runAt: now + 1e12 })
      assert.equal(await isDue(task.id), false)
      assert.equal(await moveDue(db, task.id, now + 5e11, 'eva', now), true)
      assert.equal(await nextDueAt(db), now + 5e11)
      assert.equal(await runNow(db, task.id, 'eva', now), true)
      assert.equal(await isDue(task.id), true)
      assert.equal(await moveDue(db, task.id, now + 5e11, 'eva', now), true)
      assert.equal(await isDue(task.id), false)
      await cancelTask(db, task.id, 'eva', now)
      assert.equal(await runNow(db, task.id, 'eva', now), false)
    })

    test('delete: what is final or stopped, with its runs', async () => {
      const task = (await claimTask(db, await add(), owner, now))!
      assert.equal(await deleteTask(db, task.id), false)
      await endOnce(db, task.id, 1, ended, current => ({ ...afterOnce(current, ended, now, 0), state: 'failed' }))
      const before = await countTasks(db)
      assert.equal(await deleteTask(db, task.id), true)
      assert.equal((await countTasks(db)).failed, before.failed - 1)
      assert.equal(await findTask(db, task.id), null)
      assert.deepEqual(await listRuns(db, task.id, { limit: 5 }), [])
      assert.equal(await deleteTask(db, task.id), false)
      assert.equal(await deleteTask(db, (await add({ execType: 'FOREVER' })).id), true)
    })

    const run = (taskId: number, number: number): Run => ({
      ...{ taskId, number, ...owner, pid: 10 + number, startTicks: 1, bootId: 'b', startedAt: now + number, endedAt: null, outcome: null },
      ...{
        exitCode: null,
        signal: null,
        content: null,
        error: null,
        iterations: null,
        peakMemoryBytes: null,
        cpuMs: null,
        outputBytes: null,
      },
      ...{ recycled: false, attempt: 0, adopted: false, dueAt: null, downFrom: null, downTo: null, residentTask: null, endFacts: null },
    })
    const fact = (taskId: number, number: number, more: Partial<LoopFact> = {}): LoopFact => ({
      ...{ taskId, number, state: 'running', reason: { code: 'started', at: now }, runAt: now, startedAt: now, finishedAt: null },
      ...more,
    })

    test('a loop goes up, runs, is told to go down, is down; who said so is kept', async () => {
      const loop = await add({ execType: 'FOREVER' })
      assert.deepEqual([loop.state, loop.wanted], ['stopped', 'up'])
      assert.ok((await listLoops(db)).some(one => one.id === loop.id))
      await saveLoops(db, owner, { facts: [fact(loop.id, 1)], starts: [run(loop.id, 1)], ends: [] })
      const running = await findTask(db, loop.id)
      assert.deepEqual([running?.state, running?.number, running?.host, running?.epoch], ['running', 1, 'host-1', 'epoch-1'])
      assert.equal(await wishFresh(db, loop.id, 'eva', now), true)
      assert.equal((await findTask(db, loop.id))?.wish, 1)
      assert.equal(await wishDown(db, loop.id, 'eva', now), true)
      assert.ok((await listLoops(db)).some(one => one.id === loop.id))
      const down = fact(loop.id, 1, { state: 'stopped', reason: { code: 'stopped-by-wish', at: now }, finishedAt: now })
      await saveLoops(db, owner, { facts: [down], starts: [], ends: [{ taskId: loop.id, number: 1, end: ended }] })
      const stopped = await findTask(db, loop.id)
      assert.deepEqual([stopped?.state, stopped?.host, stopped?.reason?.by], ['stopped', null, 'eva'])
      assert.ok(!(await listLoops(db)).some(one => one.id === loop.id))
      assert.equal(await wishUp(db, loop.id, 'eva', now), true)
      assert.ok((await listLoops(db)).some(one => one.id === loop.id))
      assert.equal(await wishUp(db, (await add()).id, 'eva', now), false)
    })

    test('saved again, late, or out of order: nothing is doubled, nothing goes back', async () => {
      const loop = await add({ execType: 'FOREVER' })
      const first = { facts: [fact(loop.id, 1)], starts: [run(loop.id, 1)], ends: [{ taskId: loop.id, number: 1, end: ended }] }
      const second = { facts: [fact(loop.id, 2, { state: 'backing-off', content: 'tried' })], starts: [run(loop.id, 2)], ends: [] }
      await saveLoops(db, owner, first)
      await saveLoops(db, owner, second)
      const expected = [await findTask(db, loop.id), await listRuns(db, loop.id, { limit: 9 })]
      await saveLoops(db, owner, second)
      await saveLoops(db, owner, { ...first, ends: [{ taskId: loop.id, number: 1, end: { ...ended, kind: 'lost' } }] })
      const actual = [await findTask(db, loop.id), await listRuns(db, loop.id, { limit: 9 })]
      const still = (list: typeof expected) => JSON.stringify(list, (key, value) => (key === 'updatedAt' ? 0 : value))
      assert.equal(still(actual), still(expected))
      assert.deepEqual(
        (await recentLives(db, [loop.id], 5)).get(loop.id)?.map(life => [life.number, life.outcome, life.iterations]),
        [[1, 'exited', 4]],
      )
    })

    test('an end whose start was never written is kept; a start without a process learns it later', async () => {
      const loop = await add({ execType: 'FOREVER' })
      await saveLoops(db, owner, { facts: [fact(loop.id, 3)], starts: [], ends: [{ taskId: loop.id, number: 3, end: ended }] })
      assert.deepEqual([(await findRun(db, loop.id, 3))?.outcome, (await findRun(db, loop.id, 3))?.startedAt], ['exited', now])
      await saveLoops(db, owner, { facts: [], starts: [{ ...run(loop.id, 4), pid: null, startTicks: null, bootId: null }], ends: [] })
      await saveLoops(db, owner, { facts: [], starts: [{ ...run(loop.id, 4), adopted: true }], ends: [] })
      const learnt = await findRun(db, loop.id, 4)
      assert.deepEqual([learnt?.pid, learnt?.bootId, learnt?.adopted], [14, 'b', true])
      await saveLoops(db, owner, { facts: [fact(999_999, 1)], starts: [], ends: [{ taskId: 999_999, number: 1, end: ended }] })
      assert.deepEqual(await listRuns(db, 999_999, { limit: 1 }), [])
    })

    test('recent lives: the last ones that ended, oldest first', async () => {
      const loop = await add({ execType: 'FOREVER' })
      const starts = Array.from({ length: 130 }, (_, index) => run(loop.id, index + 1))
      await saveLoops(db, owner, {
        facts: [],
        starts,
        ends: starts.slice(0, 129).map(({ taskId, number }) => ({ taskId, number, end: ended })),
      })
      const lives = await recentLives(db, [loop.id, 999_999], 3)
      assert.deepEqual(
        lives.get(loop.id)?.map(life => life.number),
        [127, 128, 129],
      )
      assert.deepEqual(lives.get(999_999), [])
    })

    test('prune: old ended tasks with their runs, and all but the last runs of loops, in small steps', async () => {
      const fresh = await freshDb(dialect)
      const [loop, ...onces] = (
        await insertTasks(fresh, [newTask({ execType: 'FOREVER' }), ...Array.from({ length: 9 }, () => newTask())], { now })
      ).map(one => one.task)
      for (const [index, task] of onces.entries()) {
        await claimTask(fresh, task, owner, now)
        if (index < 7)
          await endOnce(fresh, task.id, 1, { ...ended, kind: 'succeeded', endedAt: now + index }, current =>
            afterOnce(current, { ...ended, kind: 'succeeded' }, now, 0),
          )
      }
      const starts = Array.from({ length: 12 }, (_, index) => run(loop!.id, index + 1))
      await saveLoops(fresh, owner, { facts: [fact(loop!.id, 12)], starts, ends: [] })
      const gone = []
      for (let steps = 0; steps < 20; steps++) {
        const pruned = await pruneRows(fresh, { keepRuns: 5, endedBefore: now + 5, limit: 3 })
        if (pruned.tasks.length + pruned.runs === 0) break
        assert.ok(pruned.tasks.length <= 3)
        gone.push(...pruned.tasks)
      }
      assert.deepEqual(
        gone.map(task => task.id),
        onces.slice(0, 5).map(task => task.id),
      )
      assert.equal((await countTasks(fresh)).succeeded, 2)
      assert.deepEqual(
        (await listRuns(fresh, loop!.id, { limit: 99 })).map(one => one.number),
        [12, 11, 10, 9, 8],
      )
      assert.equal((await fresh.kysely.selectFrom('bg_run').select('number').execute()).length, 5 + 2 + 2)
    })
  })
}
