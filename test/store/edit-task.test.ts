import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { claimOfAction } from '../../app/store/claim-of-action.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import type { Db } from '../../app/store/database.ts'
import { editsKept, editTask, type NewEdit } from '../../app/store/edit-task.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { listDue } from '../../app/store/list-due.ts'
import { findEdit, listEditMarks, listEdits } from '../../app/store/list-edits.ts'
import { pruneRows } from '../../app/store/prune.ts'
import { cancelTask, deleteTask, wishDown, wishUp } from '../../app/store/wishes.ts'
import { type TaskTerms, termsOf } from '../../app/task/edit.ts'
import type { Task } from '../../app/task/task.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask, owner } from './new-task.ts'

const now = 1_700_000_000_000

const wish = (task: Task, after: Partial<TaskTerms>, more: Partial<NewEdit> = {}): NewEdit => ({
  after: { ...termsOf(task), ...after },
  effect: 'next',
  by: 'kim',
  via: 'form',
  revertOf: null,
  touched: [],
  ...more,
})

for (const dialect of dialects) {
  describe(`edits on ${dialect.name}`, { skip: dialect.skip }, () => {
    let db: Db
    const add = async (more: Parameters<typeof newTask>[0] = {}) => {
      db ??= await freshDb(dialect)
      return (await insertTasks(db, [newTask({ params: { rows: 1 }, ...more })], { now }))[0]!.task
    }
    const reread = async ({ id }: Task) => (await findTask(db, id))!

    test('a loop gets other terms, and a fresh process when that is asked for; what was before is kept', async () => {
      const loop = await add({ execType: 'FOREVER', graceMs: 1_000 })
      const edited = await editTask(
        db,
        loop,
        wish(loop, { params: { rows: 2 }, graceMs: 2_000 }, { effect: 'restart', touched: [['params', 'rows']] }),
        now + 1,
      )
      assert.equal(edited.done, 'edited')
      const after = await reread(loop)
      assert.deepEqual([after.params, after.graceMs, after.edits, after.wish], [{ rows: 2 }, 2_000, 1, loop.wish + 1])
      assert.equal((await editTask(db, after, wish(after, { params: { rows: 3 } }), now + 2)).done, 'edited')
      assert.equal((await reread(loop)).wish, loop.wish + 1, 'at its next start')
      const [second, first] = await listEdits(db, loop.id, { limit: 5 })
      assert.deepEqual(first, {
        ...{ taskId: loop.id, n: 1, at: now + 1, by: 'kim', via: 'form', effect: 'restart', number: 0, revertOf: null },
        touched: [['params', 'rows']],
        before: termsOf(loop),
        after: { ...termsOf(loop), params: { rows: 2 }, graceMs: 2_000 },
      })
      assert.deepEqual([second!.n, second!.before.params, second!.after.params], [2, { rows: 2 }, { rows: 3 }])
      assert.deepEqual(await listEdits(db, loop.id, { limit: 5, before: 2 }), [first])
      assert.deepEqual(await findEdit(db, loop.id, 2), second)
      assert.equal(await findEdit(db, loop.id, 3), null)
      assert.deepEqual(
        (await listEditMarks(db, loop.id, 1)).map(({ n, at, by }) => [n, at, by]),
        [[2, now + 2, 'kim']],
      )
    })

    test('what is down stays down, whatever effect was asked for', async () => {
      const loop = await add({ execType: 'FOREVER' })
      await wishDown(db, loop.id, 'kim', now)
      const down = await reread(loop)
      const edited = await editTask(db, down, wish(down, { graceMs: 7 }, { effect: 'restart' }), now)
      assert.ok(edited.done === 'edited' && edited.edit.effect === 'next')
      const after = await reread(loop)
      assert.deepEqual([after.wanted, after.wish, after.graceMs], ['down', loop.wish, 7])
      await wishUp(db, loop.id, 'kim', now)
    })

    test('of two who change what they have both seen, one does, and nothing of the other is stored', async () => {
      const loop = await add({ execType: 'FOREVER' })
      const done = await Promise.all(
        [2, 3, 4, 5].map(rows => editTask(db, loop, wish(loop, { params: { rows } }, { by: `user${rows}` }), now)),
      )
      assert.deepEqual(done.map(({ done }) => done).sort(), ['changed', 'changed', 'changed', 'edited'])
      const [only, ...others] = await listEdits(db, loop.id, { limit: 9 })
      assert.deepEqual(others, [])
      assert.deepEqual(only!.after.params, (await reread(loop)).params)
      assert.equal(`user${(only!.after.params as { rows: number }).rows}`, only!.by)
    })

    test('if what is done together with it fails, nothing is changed', async () => {
      const loop = await add({ execType: 'FOREVER' })
      await assert.rejects(
        editTask(db, loop, wish(loop, { graceMs: 5 }), now, async () => {
          throw new Error('no audit')
        }),
        /no audit/,
      )
      assert.deepEqual(await reread(loop), loop)
      assert.deepEqual(await listEdits(db, loop.id, { limit: 9 }), [])
    })

    test('a once-task is changed while it waits; whoever read it before does not get it, and then with the new terms', async () => {
      const task = await add({ action: 'demo/edited', priority: -5 })
      const [seen] = (await listDue(db, 50)).filter(({ id }) => id === task.id)
      assert.equal((await editTask(db, task, wish(task, { params: { rows: 9 }, timeoutMs: 4_000 }), now)).done, 'edited')
      assert.equal(await claimTask(db, seen!, owner, now), null)
      const claimed = await claimTask(db, await reread(task), owner, now)
      assert.deepEqual([claimed?.params, claimed?.timeoutMs, claimed?.number], [{ rows: 9 }, 4_000, 1])
      const running = await reread(task)
      assert.equal((await editTask(db, running, wish(running, { params: {} }), now)).done, 'begun')
      assert.deepEqual((await reread(task)).params, { rows: 9 })
    })

    test('a task for a resident runner is handed over as it was changed', async () => {
      const task = await add({ action: 'demo/edited-too' })
      await editTask(db, task, wish(task, { params: { rows: 8 } }), now)
      const claim = {
        action: 'demo/edited-too',
        limit: 10,
        owner,
        process: { pid: 1, startTicks: 1, bootId: 'b' },
        handedBefore: 0,
        down: null,
        now,
      }
      assert.deepEqual(
        (await claimOfAction(db, claim)).map(({ id, params }) => [id, JSON.parse(params)]),
        [[task.id, { rows: 8 }]],
      )
    })

    test('the newest call with keepLast is somebody else’s change, too', async () => {
      const key = { uniqueKey: `last-${dialect.name}`, onConflict: 'keepLast' } as const
      const task = await add(key)
      await add({ ...key, params: { rows: 77 } })
      assert.equal((await editTask(db, task, wish(task, { params: { rows: 2 } }), now)).done, 'changed')
      assert.deepEqual((await reread(task)).params, { rows: 77 })
    })

    test('so many are kept, and they go with their task', async () => {
      const loop = await add({ execType: 'FOREVER' })
      let task = loop
      for (let times = 0; times < editsKept + 3; times++) {
        await editTask(db, task, wish(task, { graceMs: times }), now)
        task = { ...task, edits: task.edits + 1 }
      }
      const kept = await listEditMarks(db, loop.id, 1_000)
      assert.deepEqual([kept.length, kept[0]!.n, kept.at(-1)!.n], [editsKept, editsKept + 3, 4])
      await wishDown(db, loop.id, 'kim', now)
      assert.equal(await deleteTask(db, loop.id), true)
      assert.deepEqual(await listEditMarks(db, loop.id, 9), [])
      assert.equal((await editTask(db, task, wish(task, {}), now)).done, 'gone')
      const once = await add()
      await editTask(db, once, wish(once, { priority: 3 }), now)
      await cancelTask(db, once.id, 'kim', now)
      await pruneRows(db, { keepRuns: 1, endedBefore: now + 1, limit: 500 })
      assert.equal(await findTask(db, once.id), null)
      assert.deepEqual(await listEditMarks(db, once.id, 9), [])
    })
  })
}
