import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { CamelCasePlugin, type Kysely } from 'kysely'
import type { BgtaskError } from '../../app/errors.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { findTask, findTaskByKey } from '../../app/store/find-task.ts'
import { insertTasks, type NewTask } from '../../app/store/insert-task.ts'
import { listDue } from '../../app/store/list-due.ts'
import { listLoops } from '../../app/store/list-loops.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { Task } from '../../app/task/task.ts'
import { freshDb, insertDialects, reopen } from './dialects.ts'
import { newTask, owner } from './new-task.ts'
import { race } from './race.ts'

const end = {
  kind: 'interrupted',
  content: null,
  error: null,
  exitCode: 0,
  signal: null,
  endedAt: 5_000,
  iterations: null,
  peakMemoryBytes: null,
  cpuMs: null,
} as const

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
      assert.deepEqual(await add({ uniqueKey: 'k1', params: { other: 1 } }), { task: first.task, added: false, replaced: null })
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
