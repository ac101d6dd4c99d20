import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { RunEnd } from '../../app/runs/outcome-file.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { countEnded, countTasks } from '../../app/store/count-tasks.ts'
import type { Db } from '../../app/store/database.ts'
import { endOnce, endOnceMany } from '../../app/store/end-once.ts'
import { findTask, findTaskByUid } from '../../app/store/find-task.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listDue, nextDueAt, promoteDue } from '../../app/store/list-due.ts'
import { listRunning } from '../../app/store/list-running.ts'
import { findRun, listRuns } from '../../app/store/list-runs.ts'
import { noteAdopted } from '../../app/store/note-adopted.ts'
import { noteProcess } from '../../app/store/note-process.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import type { Task } from '../../app/task/task.ts'
import { freshDb, insertDialects } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000
const end = (more: Partial<RunEnd> = {}): RunEnd => ({
  kind: 'succeeded',
  content: 'done',
  error: null,
  exitCode: 0,
  signal: null,
  endedAt: now + 50,
  iterations: null,
  peakMemoryBytes: 1_000_000,
  cpuMs: 12,
  ...more,
})
const decide = (kind: RunEnd) => (task: Task) => afterOnce(task, kind, now + 60, 0.5)

for (const dialect of insertDialects) {
  describe(`a ONCE task's way through ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    before(async () => {
      db = await freshDb(dialect)
    })
    const add = async (more: Parameters<typeof newTask>[0] = {}) =>
      (await insertTasks(db, [newTask({ runAt: now, ...more })], { now }))[0]!.task
    const claim = async (task: Task) => (await claimTask(db, task, owner, now + 10))!

    test('a task comes back as it was stored', async () => {
      const params = { text: '𝕏 ä "quoted" \\ \' %', list: [1, null, true, { deep: {} }] }
      const added = await add({
        params,
        type: 'report ',
        creator: 'Ä',
        priority: -5,
        maxAttempts: 3,
        timeoutMs: 5_000_000_000,
        rerunAfterCrash: false,
        by: 'eva',
      })
      assert.deepEqual(await findTask(db, added.id), added)
      assert.deepEqual(await findTaskByUid(db, added.uid), added)
      assert.match(added.uid, /^[a-z0-9]{16}$/)
      assert.equal(added.state, 'waiting')
      assert.deepEqual(added.reason, { code: 'added', at: now, by: 'eva' })
      assert.equal(await findTask(db, 999_999), null)
    })

    test('ids grow in the order given, also for many', async () => {
      const tasks = Array.from({ length: 2_345 }, (_, index) => newTask({ params: { index }, type: 'many', runAt: now + 1e9 }))
      const added = await insertTasks(db, tasks, { now })
      assert.equal(added.length, 2_345)
      for (const [index, { task }] of added.entries()) {
        assert.deepEqual(task.params, { index })
        if (index) assert.ok(task.id > added[index - 1]!.task.id)
      }
      assert.deepEqual(await findTask(db, added[1_999]!.task.id), added[1_999]!.task)
    })

    test('due tasks come by priority, then due time, then id; later ones when their time has come', async () => {
      const fresh = await freshDb(dialect)
      const given = [
        { priority: 0, runAt: now - 5 },
        { priority: 0, runAt: now - 9 },
        { priority: -1, runAt: now },
        { priority: 0, runAt: now - 9 },
        { priority: -9, runAt: now + 100 },
        { priority: 0, runAt: now + 200 },
      ]
      const ids = (await insertTasks(fresh, given.map(newTask), { now })).map(({ task }) => task.id)
      const order = async () => (await listDue(fresh, 10)).map(task => ids.indexOf(task.id))
      assert.deepEqual(await order(), [2, 1, 3, 0])
      assert.equal(await nextDueAt(fresh), now + 100)
      assert.equal(await promoteDue(fresh, now + 99, 10), 0)
      assert.equal(await promoteDue(fresh, now + 100, 10), 1)
      assert.deepEqual(await order(), [4, 2, 1, 3, 0])
      assert.equal(await nextDueAt(fresh), now + 200)
      assert.equal(await promoteDue(fresh, now + 1_000, 10), 1)
      assert.equal(await nextDueAt(fresh), null)
    })

    test('claim: one gets it, with its run; the crash is counted beforehand', async () => {
      const task = await add()
      const claimed = await claim(task)
      assert.equal(claimed.number, 1)
      assert.equal(claimed.crashCount, 1)
      assert.deepEqual(await findTask(db, task.id), claimed)
      assert.equal(await claimTask(db, task, { host: 'host-2', epoch: 'other' }, now), null)
      const run = await findRun(db, task.id, 1)
      assert.deepEqual([run?.host, run?.epoch, run?.pid, run?.startedAt, run?.outcome], ['host-1', 'epoch-1', null, now + 10, null])
      await noteProcess(db, task.id, 1, { pid: 77, startTicks: 5_000_000_000, bootId: 'boot' })
      await noteAdopted(db, [{ taskId: task.id, number: 1 }], { host: 'host-1', epoch: 'epoch-2' })
      const adopted = await findRun(db, task.id, 1)
      assert.deepEqual([adopted?.pid, adopted?.startTicks, adopted?.bootId, adopted?.adopted], [77, 5_000_000_000, 'boot', true])
      assert.equal((await findTask(db, task.id))?.epoch, 'epoch-2')
      assert.ok((await listRunning(db, 'host-1')).some(running => running.id === task.id))
      assert.deepEqual(await listRunning(db, 'host-2'), [])
    })

    test('end: recorded once, whatever is repeated', async () => {
      const claimed = await claim(await add())
      const before = await countTasks(db)
      assert.equal(await endOnce(db, claimed.id, 1, end(), decide(end())), 'recorded')
      const ended = await findTask(db, claimed.id)
      assert.deepEqual(
        [ended?.state, ended?.content, ended?.finishedAt, ended?.crashCount, ended?.host],
        ['succeeded', 'done', now + 50, 0, null],
      )
      const other = end({ kind: 'failed', content: 'late', endedAt: now + 99 })
      assert.equal(await endOnce(db, claimed.id, 1, other, decide(other)), 'already')
      assert.deepEqual(await findTask(db, claimed.id), ended)
      const run = await findRun(db, claimed.id, 1)
      assert.deepEqual(
        [run?.outcome, run?.content, run?.peakMemoryBytes, run?.cpuMs, run?.endedAt],
        ['succeeded', 'done', 1_000_000, 12, now + 50],
      )
      assert.equal((await countTasks(db)).succeeded, before.succeeded + 1)
      assert.ok((await countEnded(db, now)).succeeded >= 1)
      assert.deepEqual(await countEnded(db, now + 1_000_000), { succeeded: 0, failed: 0 })
    })

    test('end: an older number changes nothing of the task', async () => {
      const first = await claim(await add({ maxAttempts: 3 }))
      const failed = end({ kind: 'failed', content: 'no', error: 'Error: no\n    at x' })
      assert.equal(await endOnce(db, first.id, 1, failed, () => ({ ...decide(failed)(first), runAt: now })), 'recorded')
      const again = (await findTask(db, first.id))!
      assert.deepEqual([again.state, again.attempt, again.reason?.code], ['waiting', 1, 'retry'])
      const second = await claim(again)
      assert.equal(second.number, 2)
      assert.equal(await endOnce(db, first.id, 1, end(), decide(end())), 'already')
      assert.deepEqual(await findTask(db, first.id), second)
      // An end whose run was never stored is still kept, and does not touch the task either.
      assert.equal(await endOnce(db, first.id, 0, end(), decide(end())), 'stale')
      assert.deepEqual(await findTask(db, first.id), second)
      assert.deepEqual(
        (await listRuns(db, first.id, { limit: 9 })).map(run => run.number),
        [2, 1, 0],
      )
      assert.deepEqual(
        (await listRuns(db, first.id, { limit: 9, before: 2 })).map(run => run.number),
        [1, 0],
      )
      assert.equal(await endOnce(db, 987_654, 1, end(), decide(end())), 'stale')
    })

    test('end: a run whose row is missing is stored with its end', async () => {
      const claimed = await claim(await add())
      await db.kysely.deleteFrom('bg_run').where('task_id', '=', claimed.id).execute()
      assert.equal(await endOnce(db, claimed.id, 1, end(), decide(end())), 'recorded')
      const run = await findRun(db, claimed.id, 1)
      assert.deepEqual([run?.outcome, run?.host, run?.startedAt], ['succeeded', 'host-1', now + 10])
    })

    test('ends of many in one transaction, answered in the order given', async () => {
      const tasks = await insertTasks(
        db,
        Array.from({ length: 30 }, () => newTask({ runAt: now })),
        { now },
      )
      const claimed = await Promise.all(tasks.map(({ task }) => claim(task)))
      const ends = claimed.reverse().map(task => ({ taskId: task.id, number: 1, end: end(), decide: decide(end()) }))
      const answers = await endOnceMany(db, [...ends, { ...ends[0]!, number: 7 }, ends[1]!])
      assert.deepEqual(answers, [...ends.map(() => 'recorded'), 'stale', 'already'])
      assert.deepEqual(await endOnceMany(db, []), [])
    })

    test('long texts', async () => {
      const text = 'ä'.repeat(300_000)
      const claimed = await claim(await add({ params: { text: 'x'.repeat(64_000) } }))
      const long = end({ content: text, error: text })
      await endOnce(db, claimed.id, 1, long, decide(long))
      assert.equal((await findTask(db, claimed.id))?.content, text)
      assert.equal((await findRun(db, claimed.id, 1))?.error, text)
    })
  })
}
