import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { CamelCasePlugin, type Kysely } from 'kysely'
import type { BgtaskError } from '../../app/errors.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { findTask, findTaskByKey, findTaskNextByKey } from '../../app/store/find-task.ts'
import { insertTasks, type NewTask } from '../../app/store/insert-task.ts'
import { isDuplicate } from '../../app/store/is-away.ts'
import { listDue } from '../../app/store/list-due.ts'
import { listLoops } from '../../app/store/list-loops.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { cancelByKey, cancelTask, deleteTask, wishDown } from '../../app/store/wishes.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { Task } from '../../app/task/task.ts'
import { runEnd } from '../helpers/run-end.ts'
import { freshDb, insertDialects, reopen } from './dialects.ts'
import { newTask, owner } from './new-task.ts'
import { race } from './race.ts'

const end = runEnd('interrupted', 5_000)

for (const dialect of insertDialects) {
  describe(`unique keys and transactions on ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    const add = async (more: Partial<NewTask>) => (await insertTasks(db, [newTask(more)], { now: 2_000 }))[0]!
    const claim = async (task: Task) => (await claimTask(db, task, owner, 3_000))!

    test('keep returns the one that is there; reject names it; another key is free; case and blanks count', async () => {
      const first = await add({ uniqueKey: 'k1' })
      assert.deepEqual(await add({ uniqueKey: 'k1', params: { other: 1 } }), {
        task: first.task,
        added: false,
        updated: false,
        replaced: null,
      })
      assert.equal((await findTaskByKey(db, 'k1'))?.id, first.task.id)
      for (const uniqueKey of ['K1', 'k1 ', 'ḱ1']) assert.equal((await add({ uniqueKey })).added, true)
      await assert.rejects(add({ uniqueKey: 'k1', onConflict: 'reject' }), (error: BgtaskError) => {
        assert.equal(error.code, 'conflict')
        assert.match(error.message, new RegExp(`"k1" is held by task ${first.task.id}, which is waiting`))
        return true
      })
    })

    test('replace of a waiting task cancels it', async () => {
      const before = await countTasks(db)
      const old = await add({ uniqueKey: 'k2' })
      const fresh = await add({ uniqueKey: 'k2', onConflict: 'replace', by: 'eva' })
      assert.equal(fresh.replaced, old.task.id)
      const cancelled = await findTask(db, old.task.id)
      assert.equal(cancelled?.state, 'cancelled')
      assert.deepEqual(cancelled?.reason, { code: 'replaced', at: 2_000, detail: String(fresh.task.id), by: 'eva' })
      assert.equal((await findTaskByKey(db, 'k2'))?.id, fresh.task.id)
      assert.equal((await countTasks(db)).cancelled, before.cancelled + 1)
      assert.ok(!(await listDue(db, 1_000)).some(task => task.id === old.task.id))
    })

    test('replace of a running task: it is asked to stop, and the newest waits for its end', async () => {
      const old = await claim((await add({ uniqueKey: 'k3' })).task)
      const second = await add({ uniqueKey: 'k3', onConflict: 'replace' })
      const third = await add({ uniqueKey: 'k3', onConflict: 'replace' })
      const dueIds = async () => (await listDue(db, 1_000)).map(task => task.id)
      assert.equal((await findTask(db, old.id))?.wanted, 'down')
      assert.equal((await findTask(db, second.task.id))?.state, 'cancelled')
      assert.deepEqual(
        [third.replaced, third.task.reason?.code, third.task.reason?.detail],
        [second.task.id, 'waits-for-key', String(old.id)],
      )
      assert.equal((await dueIds()).includes(third.task.id), false)
      assert.equal(await claimTask(db, third.task, owner, 3_000), null)
      assert.equal(await endOnce(db, old.id, 1, end, task => afterOnce(task, end, 4_000, 0)), 'recorded')
      const ended = await findTask(db, old.id)
      assert.deepEqual([ended?.state, ended?.reason?.code, ended?.reason?.detail], ['cancelled', 'replaced', String(second.task.id)])
      assert.equal((await dueIds()).includes(third.task.id), true)
      assert.equal((await findTaskByKey(db, 'k3'))?.id, third.task.id)
    })

    test('when the task that replaced a running one goes before it does, the running one has the key again', async () => {
      const replaced = async (key: string, more: Partial<NewTask> = {}) => {
        const old = await claim((await add({ uniqueKey: key })).task)
        return { old, newer: (await add({ uniqueKey: key, onConflict: 'replace', ...more })).task }
      }
      const a = await replaced('b1')
      await cancelTask(db, a.newer.id, 'eva', 5_000)
      assert.equal((await findTaskByKey(db, 'b1'))?.id, a.old.id)
      await assert.rejects(add({ uniqueKey: 'b1', onConflict: 'reject' }), { code: 'conflict' })
      const next = await add({ uniqueKey: 'b1', onConflict: 'keepLast' })
      await endOnce(db, a.old.id, 1, end, task => afterOnce(task, end, 4_000, 0))
      assert.equal((await findTaskByKey(db, 'b1'))?.id, next.task.id)
      const b = await replaced('b2', { execType: 'FOREVER' })
      await wishDown(db, b.newer.id, 'eva', 5_000)
      assert.equal(await deleteTask(db, b.newer.id), true)
      assert.equal((await findTaskByKey(db, 'b2'))?.id, b.old.id)
      await endOnce(db, b.old.id, 1, end, task => afterOnce(task, end, 4_000, 0))
      assert.equal(await findTaskByKey(db, 'b2'), null)
    })

    test('keepLast: what has not begun is overwritten, and says by how many', async () => {
      const first = await add({ uniqueKey: 'l1', onConflict: 'keepLast', params: { n: 1 } })
      assert.deepEqual([first.added, first.updated, first.task.superseded], [true, false, 0])
      const more = { uniqueKey: 'l1', onConflict: 'keepLast', priority: 5, type: 'newer', maxAttempts: 7 } as const
      await add({ ...more, params: { n: 2 } })
      const third = await add({ ...more, params: { n: 3 }, runAt: 9_000, by: 'eva' })
      assert.deepEqual([third.added, third.updated, third.replaced, third.task.id], [false, true, null, first.task.id])
      const stored = await findTask(db, first.task.id)
      assert.deepEqual(stored, third.task)
      assert.deepEqual(
        [stored?.params, stored?.superseded, stored?.runAt, stored?.maxAttempts, stored?.type],
        [{ n: 3 }, 2, 9_000, 7, 'newer'],
      )
      assert.deepEqual(stored?.reason, { code: 'due-later', at: 2_000, until: 9_000, by: 'eva' })
      assert.ok(!(await listDue(db, 1_000)).some(task => task.id === first.task.id))
    })

    test('keepLast: one that has begun is followed by one task, with the newest params, when all its tries are over', async () => {
      const running = await claim((await add({ uniqueKey: 'l2', onConflict: 'keepLast', maxAttempts: 2, params: { n: 1 } })).task)
      const second = await add({ uniqueKey: 'l2', onConflict: 'keepLast', params: { n: 2 } })
      assert.deepEqual([second.added, second.task.reason?.code, second.task.reason?.detail], [true, 'waits-for-turn', String(running.id)])
      const third = await add({ uniqueKey: 'l2', onConflict: 'keepLast', params: { n: 3 } })
      assert.deepEqual([third.updated, third.task.id, third.task.superseded], [true, second.task.id, 1])
      assert.deepEqual(await findTask(db, third.task.id), third.task)
      assert.equal((await findTaskByKey(db, 'l2'))?.id, running.id)
      assert.equal((await findTaskNextByKey(db, 'l2'))?.id, second.task.id)
      assert.equal(await claimTask(db, third.task, owner, 3_000), null)
      const failed = { ...end, kind: 'failed' } as const
      await endOnce(db, running.id, 1, failed, task => afterOnce(task, failed, 0, 0))
      // Its second try is still to come: the params it has run with stay as they are.
      const fourth = await add({ uniqueKey: 'l2', onConflict: 'keepLast', params: { n: 4 } })
      assert.deepEqual([fourth.updated, fourth.task.id], [true, second.task.id])
      const again = (await claimTask(db, (await findTask(db, running.id))!, owner, 4_000))!
      assert.deepEqual(again.params, { n: 1 })
      await endOnce(db, running.id, 2, failed, task => afterOnce(task, failed, 0, 0))
      const holder = await findTaskByKey(db, 'l2')
      assert.deepEqual([holder?.id, holder?.params, holder?.reason?.code], [second.task.id, { n: 4 }, 'added'])
      assert.equal(await findTaskNextByKey(db, 'l2'), null)
      assert.deepEqual((await claim(holder!)).params, { n: 4 })
    })

    test('keepLast: a claim with params that were overwritten meanwhile gets nothing', async () => {
      const { task } = await add({ uniqueKey: 'l3', onConflict: 'keepLast', params: { n: 1 } })
      const seen = (await listDue(db, 1_000)).find(({ id }) => id === task.id)!
      await add({ uniqueKey: 'l3', onConflict: 'keepLast', params: { n: 2 } })
      assert.equal(await claimTask(db, seen, owner, 3_000), null)
      assert.deepEqual((await claim((await findTask(db, task.id))!)).params, { n: 2 })
    })

    test('keepLast: a second one that follows is impossible for the database itself', async () => {
      const { task } = await add({ uniqueKey: 'l4' })
      await claim(task)
      await add({ uniqueKey: 'l4', onConflict: 'keepLast' })
      const other = (await add({})).task
      const taken = await db.kysely
        .selectFrom('bg_task')
        .select('next_key')
        .where('unique_key', '=', 'l4')
        .where('next_key', 'is not', null)
        .executeTakeFirstOrThrow()
      const twice = db.kysely.updateTable('bg_task').set({ next_key: taken.next_key }).where('id', '=', other.id).execute()
      await assert.rejects(twice, isDuplicate)
    })

    test('keepLast: whatever ends the holder, the one that follows has the key', async () => {
      const follow = async (key: string) => {
        const holder = await claim((await add({ uniqueKey: key, maxAttempts: 2 })).task)
        return { holder, next: (await add({ uniqueKey: key, onConflict: 'keepLast' })).task }
      }
      const a = await follow('l5')
      const failed = { ...end, kind: 'failed' } as const
      await endOnce(db, a.holder.id, 1, failed, task => afterOnce(task, failed, 0, 0))
      assert.equal(await cancelTask(db, a.holder.id, 'eva', 5_000), 'cancelled')
      assert.equal((await findTaskByKey(db, 'l5'))?.id, a.next.id)
      const b = await follow('l6')
      assert.equal(await cancelTask(db, b.next.id, 'eva', 5_000), 'cancelled')
      assert.equal(await findTaskNextByKey(db, 'l6'), null)
      assert.equal((await add({ uniqueKey: 'l6', onConflict: 'keepLast' })).added, true)
      const c = await follow('l7')
      assert.deepEqual(await cancelByKey(db, 'l7', 'eva', 5_000), { holder: c.holder.id, cancelled: 'cancelling', next: c.next.id })
      await endOnce(db, c.holder.id, 1, end, task => afterOnce(task, end, 4_000, 0))
      assert.equal(await findTaskByKey(db, 'l7'), null)
    })

    test('keepLast and the other ways: replace takes the place of both, reject and keep see the holder, a loop is followed by none', async () => {
      const holder = await claim((await add({ uniqueKey: 'l8' })).task)
      const next = (await add({ uniqueKey: 'l8', onConflict: 'keepLast' })).task
      assert.equal((await add({ uniqueKey: 'l8', onConflict: 'keep' })).task.id, holder.id)
      await assert.rejects(add({ uniqueKey: 'l8', onConflict: 'reject' }), { code: 'conflict' })
      const newer = await add({ uniqueKey: 'l8', onConflict: 'replace' })
      assert.equal(newer.replaced, holder.id)
      for (const [id, state] of [
        [holder.id, 'running'],
        [next.id, 'cancelled'],
      ] as const) {
        const task = await findTask(db, id)
        assert.deepEqual(
          [task?.state, task?.wanted, task?.reason?.code, task?.reason?.detail],
          [state, 'down', 'replaced', String(newer.task.id)],
        )
      }
      assert.equal(await findTaskNextByKey(db, 'l8'), null)
      const overwritten = await add({ uniqueKey: 'l8', onConflict: 'keepLast', params: { last: true } })
      assert.deepEqual([overwritten.updated, overwritten.task.id], [true, newer.task.id])
      await endOnce(db, holder.id, 1, end, task => afterOnce(task, end, 4_000, 0))
      assert.deepEqual((await claim((await findTaskByKey(db, 'l8'))!)).params, { last: true })
      const loop = (await add({ uniqueKey: 'l9', execType: 'FOREVER' })).task
      await assert.rejects(
        add({ uniqueKey: 'l9', onConflict: 'keepLast' }),
        /"l9" is held by task \d+, a loop.*Stop and delete it, or use onConflict replace/,
      )
      await deleteTask(db, loop.id)
    })

    test('who may not meet the holder of a key gets nothing, and nothing is stored', async () => {
      const mayMeet = ({ action }: Task) => action === 'mine/own'
      const mine = (more: Partial<NewTask>) =>
        insertTasks(db, [newTask({ action: 'mine/own' }), newTask({ action: 'mine/own', ...more })], { mayMeet })
      await add({ uniqueKey: 'm1', action: 'theirs/secret' })
      const before = await countTasks(db)
      for (const onConflict of ['keep', 'replace', 'keepLast', 'reject'] as const) {
        await assert.rejects(mine({ uniqueKey: 'm1', onConflict }), (error: BgtaskError) => {
          assert.equal(error.code, 'conflict')
          assert.doesNotMatch(error.message, /theirs/)
          return true
        })
      }
      // The holder is one that may be met, but the one that follows it is not.
      const holder = await claim((await add({ uniqueKey: 'm2', action: 'mine/own' })).task)
      await add({ uniqueKey: 'm2', onConflict: 'keepLast', action: 'theirs/secret' })
      for (const onConflict of ['replace', 'keepLast'] as const)
        await assert.rejects(mine({ uniqueKey: 'm2', onConflict }), { code: 'conflict' })
      assert.equal((await findTask(db, holder.id))?.wanted, 'up')
      assert.equal((await countTasks(db)).waiting, before.waiting + 1)
    })

    test('a key is free again when its task has ended', async () => {
      const first = await claim((await add({ uniqueKey: 'k4' })).task)
      const ok = { ...end, kind: 'succeeded' } as const
      await endOnce(db, first.id, 1, ok, task => afterOnce(task, ok, 4_000, 0))
      assert.equal(await findTaskByKey(db, 'k4'), null)
      assert.equal((await add({ uniqueKey: 'k4', onConflict: 'reject' })).added, true)
    })

    test('replace of a loop that runs: the new loop is not to be started before the old one is down', async () => {
      const old = (await add({ uniqueKey: 'k5', execType: 'FOREVER' })).task
      const fact = { taskId: old.id, number: 1, reason: null, runAt: 0, startedAt: 1, finishedAt: null }
      await saveLoops(db, owner, { facts: [{ ...fact, state: 'running' }], starts: [], ends: [] })
      const fresh = (await add({ uniqueKey: 'k5', execType: 'FOREVER', onConflict: 'replace' })).task
      const ids = async () => (await listLoops(db)).map(task => task.id)
      assert.deepEqual(await ids(), [old.id])
      await saveLoops(db, owner, { facts: [{ ...fact, state: 'stopped' }], starts: [], ends: [] })
      assert.deepEqual(await ids(), [fresh.id])
    })

    test('several in one call: in order, all or none, the same key twice', async () => {
      const before = await countTasks(db)
      const answers = await insertTasks(db, [
        newTask(),
        newTask({ uniqueKey: 'k6' }),
        newTask(),
        newTask({ uniqueKey: 'k6', onConflict: 'replace' }),
      ])
      assert.deepEqual(
        answers.map(({ replaced }) => replaced),
        [null, null, null, answers[1]!.task.id],
      )
      await assert.rejects(insertTasks(db, [newTask(), newTask({ uniqueKey: 'k7' }), newTask({ uniqueKey: 'k6', onConflict: 'reject' })]))
      assert.equal(await findTaskByKey(db, 'k7'), null)
      assert.equal((await countTasks(db)).waiting, before.waiting + 3)
    })

    test("the caller's transaction: committed together or not at all, whatever plugins it has", async () => {
      const theirs = (await reopen(db.url)).kysely
      const add = (trx: Parameters<typeof insertTasks>[2]) =>
        insertTasks(db, [newTask({ type: 'joined' }), newTask({ uniqueKey: 'k8', onConflict: 'replace' })], trx)
      await assert.rejects(
        theirs.transaction().execute(async trx => {
          await add({ trx })
          throw new Error('changed my mind')
        }),
        /changed my mind/,
      )
      assert.equal(await findTaskByKey(db, 'k8'), null)
      const plugged = theirs.withPlugin(new CamelCasePlugin()) as unknown as Kysely<{ theirTable: { id: number } }>
      const answers = await plugged.transaction().execute(trx => add({ trx }))
      assert.equal((await findTaskByKey(db, 'k8'))?.id, answers[1]!.task.id)
      assert.deepEqual(await findTask(db, answers[0]!.task.id), answers[0]!.task)
      await db.kysely.transaction().execute(trx => add({ trx }))
    })

    test('eight writers of one key and a supervisor, in several processes: the key is never held twice', { timeout: 90_000 }, async () => {
      const raced = await freshDb(dialect)
      const writers = Array.from({ length: 8 }, (_, n) => race<{ added: number; conflicts: number }>(raced.url, 'add', `writer-${n}`, 24))
      const [supervisor, ...said] = await Promise.all([
        race<{ ended: number; atOnce: number }>(raced.url, 'supervise', 'supervisor'),
        ...writers,
      ])
      const added = said.reduce((sum, one) => sum + one.added, 0)
      const tasks = await raced.kysely.selectFrom('bg_task').selectAll().execute()
      assert.equal(tasks.length, added)
      assert.ok(added >= 8)
      assert.ok(supervisor.atOnce <= 1, `${supervisor.atOnce} ran at once`)
      assert.ok(tasks.filter(task => task.held_key !== null).length <= 1)
      assert.deepEqual(
        tasks.filter(task => task.after_id !== null).map(task => task.id),
        [],
      )
      for (const task of tasks)
        assert.equal(task.held_key === null, ['succeeded', 'cancelled'].includes(task.state), `${task.id} is ${task.state}`)
      const counts = await countTasks(raced)
      assert.equal(counts.succeeded + counts.cancelled, tasks.filter(task => task.held_key === null).length)
    })

    test('claimers in four processes never get the same task', { timeout: 90_000 }, async () => {
      const raced = await freshDb(dialect)
      await insertTasks(
        raced,
        Array.from({ length: 400 }, () => newTask()),
      )
      const claimed = (await Promise.all([1, 2, 3, 4].map(n => race<number[]>(raced.url, 'claim', `host-${n}`)))).flat()
      assert.equal(claimed.length, 400)
      assert.equal(new Set(claimed).size, 400)
      const runs = await raced.kysely.selectFrom('bg_run').select(['task_id', 'number']).execute()
      assert.equal(runs.length, 400)
    })
  })
}
