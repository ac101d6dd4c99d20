import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RunEnd } from '../../app/runs/outcome-file.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { endedEver, noteEnded, noteRemoved, presentFinal, rollUpCounters } from '../../app/store/counters.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnceMany } from '../../app/store/end-once.ts'
import { endSucceeded } from '../../app/store/end-succeeded.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { noteLoopSuccesses } from '../../app/store/loop-successes.ts'
import { readMetricRows } from '../../app/store/metric-rows.ts'
import { migrate } from '../../app/store/migrate.ts'
import { pruneRows } from '../../app/store/prune.ts'
import { listRunCounts, noteRunEnds } from '../../app/store/run-counts.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { transact } from '../../app/store/transact.ts'
import { deleteTask, wishDown } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { outcomeKinds } from '../../app/task/outcome.ts'
import { runEnd } from '../helpers/run-end.ts'
import { dialects, freshDb, reopen } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000
const end = (more: Partial<RunEnd> = {}): RunEnd => runEnd('succeeded', now, more)

for (const dialect of dialects) {
  describe(`counts of runs on ${dialect.name}`, { skip: dialect.skip }, () => {
    const countsOf = async (db: Db) =>
      (await listRunCounts(db, 100)).map(({ action, outcome, n, lastAt }) => [action, outcome, n, lastAt - now])
    const claimed = async (db: Db, many: number, action: string) => {
      const tasks = await insertTasks(
        db,
        Array.from({ length: many }, () => newTask({ action })),
      )
      for (const { task } of tasks) assert.ok(await claimTask(db, task, owner, now))
      return tasks.map(({ task }) => task.id)
    }
    const endOnces = (db: Db, ends: { taskId: number; number?: number; how: RunEnd }[]) =>
      endOnceMany(
        db,
        ends.map(({ taskId, number = 1, how }) => ({ taskId, number, end: how, decide: task => afterOnce(task, how, now, 0.5) })),
      )

    test('counts of tasks of days that are over become one row each, and every sum stays what it was while hosts count on', async () => {
      const url = await dialect.newUrl()
      const db = await reopen(url)
      await migrate(db)
      const other = await reopen(url)
      const day = 86_400_000
      const states = ['succeeded', 'failed', 'cancelled'] as const
      const note = (host: string, at: number) =>
        transact(db, trx =>
          noteEnded(
            db,
            trx,
            states.map((state, index) => ({ state, n: index + 1 })),
            host,
            at,
          ),
        )
      for (let ago = 0; ago < 6; ago++) for (const host of ['a', 'b', '']) await note(host, now - ago * day)
      await transact(db, trx => noteRemoved(db, trx, [{ state: 'failed', n: 5 }]))
      const rows = async () =>
        Number(
          (await db.kysely
            .selectFrom('bg_counter')
            .select(({ fn }) => fn.countAll().as('n'))
            .executeTakeFirst())!.n,
        )
      const ever = { succeeded: 18, failed: 36, cancelled: 54 }
      assert.equal(await rows(), 55)
      assert.deepEqual(await endedEver(db.kysely), ever)
      // Two hosts do it at once, a few rows at a time, while another counts.
      const rollUp = async (by: Db) => {
        let rolled = 0
        for (let some = 1; some > 0; rolled += some) {
          some = await rollUpCounters(by, now - 2 * day, 2)
          const seen = await endedEver(by.kysely)
          assert.ok(seen.succeeded >= 18 && seen.succeeded <= 28, JSON.stringify(seen))
        }
        return rolled
      }
      const count = async () => {
        for (let times = 0; times < 10; times++) await note('c', now)
      }
      const [first, second] = await Promise.all([rollUp(db), rollUp(other), count()])
      assert.equal(first + second, 3 * 3 * 3, 'three days of three hosts')
      assert.deepEqual(await endedEver(db.kysely), { succeeded: 28, failed: 56, cancelled: 84 })
      assert.deepEqual(await presentFinal(db.kysely), { succeeded: 28, failed: 51, cancelled: 84 })
      assert.equal(await rows(), 3 + 27 + 1 + 3, 'one for what is over, the last three days, what was removed, and the host that counted')
      assert.equal(await rollUpCounters(db, now - 2 * day, 100), 0)
    })

    test('each end is counted once, by its action and outcome, however often it is recorded', async () => {
      const db = await freshDb(dialect)
      const ids = await claimed(db, outcomeKinds.length, 'a/one')
      const ends = ids.map((taskId, index) => ({ taskId, how: end({ kind: outcomeKinds[index]!, endedAt: now + index }) }))
      for (let times = 0; times < 3; times++) await endOnces(db, ends)
      const expected = outcomeKinds.map((kind, index) => ['a/one', kind, 1, index]).sort(([, a], [, b]) => (a! < b! ? -1 : 1))
      assert.deepEqual(await countsOf(db), expected)
      // Of a run that nobody knows, and of a task that is gone.
      await endOnces(db, [{ taskId: 999_999, how: end() }])
      assert.deepEqual(await countsOf(db), expected)
    })

    test('successes that are recorded by the hundred are counted with the others, and those that are not recorded are not', async () => {
      const db = await freshDb(dialect)
      const ones = await claimed(db, 3, 'a/one')
      const twos = await claimed(db, 2, 'a/two')
      const row = (taskId: number, action: string) => ({
        taskId,
        number: 1,
        action,
        endedAt: now + taskId,
        content: null,
        outputBytes: null,
      })
      const all = [...ones.map(id => row(id, 'a/one')), ...twos.map(id => row(id, 'a/two'))]
      assert.equal(await endSucceeded(db, all, owner.host), true)
      const expected = [
        ['a/one', 'succeeded', 3, ones[2]],
        ['a/two', 'succeeded', 2, twos[1]],
      ]
      assert.deepEqual(await countsOf(db), expected)
      const [late] = await claimed(db, 1, 'a/two')
      assert.equal(await endSucceeded(db, [row(late!, 'a/two'), row(ones[0]!, 'a/one')], owner.host), false)
      assert.deepEqual(await countsOf(db), expected, 'it was taken back with the rest')
    })

    test('lives of loops are counted too, also one whose start was never written', async () => {
      const db = await freshDb(dialect)
      const loop = (await insertTasks(db, [newTask({ action: 'a/loop', execType: 'FOREVER' })]))[0]!.task
      const ends = [
        { taskId: loop.id, number: 1, end: end({ kind: 'killed', endedAt: now + 1 }) },
        { taskId: loop.id, number: 2, end: end({ kind: 'killed', endedAt: now + 9 }) },
        { taskId: loop.id, number: 3, end: end({ kind: 'interrupted', endedAt: now + 4 }) },
        { taskId: 999_999, number: 1, end: end() },
      ]
      for (let times = 0; times < 2; times++) await saveLoops(db, owner, { facts: [], starts: [], ends })
      assert.deepEqual(await countsOf(db), [
        ['a/loop', 'interrupted', 1, 4],
        ['a/loop', 'killed', 2, 9],
      ])
    })

    test('nothing makes a count less: neither pruning, nor deleting, nor a clock that was set back', async () => {
      const db = await freshDb(dialect)
      const ids = await claimed(db, 4, 'a/gone')
      await endOnces(
        db,
        ids.map(taskId => ({ taskId, how: end({ endedAt: now + 50 }) })),
      )
      await deleteTask(db, ids[0]!)
      assert.equal((await pruneRows(db, { keepRuns: 1, endedBefore: now + 100, limit: 100 })).tasks.length, 3)
      assert.deepEqual(await countsOf(db), [['a/gone', 'succeeded', 4, 50]])
      const [late] = await claimed(db, 1, 'a/gone')
      await endOnces(db, [{ taskId: late!, how: end({ endedAt: now - 1_000 }) }])
      assert.deepEqual(await countsOf(db), [['a/gone', 'succeeded', 5, 50]])
    })

    test('hosts that count at once lose nothing, and what they counted is told as one; no more is told than is asked for', async () => {
      const db = await freshDb(dialect)
      const hosts = await Promise.all(Array.from({ length: 4 }, () => reopen(db.url)))
      const ended = ['b/two', 'b/one'].flatMap(action => outcomeKinds.map(outcome => ({ action, outcome, endedAt: now })))
      await Promise.all(
        hosts.flatMap((host, index) =>
          Array.from({ length: 10 }, (_, n) =>
            transact(host, trx => noteRunEnds(host, trx, n % 2 ? ended : ended.toReversed(), `host-${index}`)),
          ),
        ),
      )
      const counts = await listRunCounts(db, 1_000)
      assert.equal(counts.length, 2 * outcomeKinds.length)
      assert.deepEqual([...new Set(counts.map(({ n }) => n))], [40])
      assert.deepEqual([...new Set((await listRunCounts(db, outcomeKinds.length)).map(({ action }) => action))], ['b/one'])
      const rows = await db.kysely.selectFrom('bg_run_count').selectAll().execute()
      assert.ok(rows.length > counts.length && rows.length <= 4 * counts.length, 'hosts have rows of their own')
    })

    test('the last success of a loop: the later one is kept, and it goes with the loop', async () => {
      const db = await freshDb(dialect)
      const ids = (await insertTasks(db, [newTask({ execType: 'FOREVER' }), newTask({ execType: 'FOREVER' })])).map(({ task }) => task.id)
      const [first, second] = ids as [number, number]
      const lastOf = async () =>
        Object.fromEntries((await readMetricRows(db, 1)).loops.map(loop => [loop.id, loop.lastSuccessAt && loop.lastSuccessAt - now]))
      assert.deepEqual(await lastOf(), { [first]: null, [second]: null })
      await noteLoopSuccesses(db, [])
      await noteLoopSuccesses(db, [
        { taskId: second, at: now + 7 },
        { taskId: 999_999, at: now },
        { taskId: first, at: now + 5 },
      ])
      await noteLoopSuccesses(db, [
        { taskId: first, at: now + 6 },
        { taskId: second, at: now + 3 },
      ])
      assert.deepEqual(await lastOf(), { [first]: 6, [second]: 7 })
      await wishDown(db, first, 'test', now)
      assert.equal(await deleteTask(db, first), true)
      const rows = await db.kysely.selectFrom('bg_loop_success').selectAll().execute()
      assert.deepEqual(
        rows.map(({ task_id }) => Number(task_id)),
        [second],
      )
    })
  })
}
