import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { askBulk, askUndo, bulkFilter } from '../../app/api/ask-bulk.ts'
import { carryOutBulk } from '../../app/api/carry-out-bulk.ts'
import { countMatching } from '../../app/api/matching-tasks.ts'
import { listAudit } from '../../app/store/audit.ts'
import type { BulkAct } from '../../app/store/bulk.ts'
import { findTask, newestTaskId } from '../../app/store/find-task.ts'
import type { TaskFilter } from '../../app/store/list-tasks.ts'
import { bulkAction } from '../../app/task/core-actions.ts'
import { run } from '../cli/run.ts'
import { databases, openScene, waitFor } from './scene.ts'

const actions = {
  'test/plain': "export const execute = async () => 'done'\n",
  'test/forever': `import { execForeverInterval } from '${new URL('../../app/index.ts', import.meta.url).href}'
export const execute = () => execForeverInterval(() => {}, 50)`,
}
const eva = { by: 'eva', actor: { name: 'eva', ip: null, via: 'command-line' } } as const
const quiet = { signal: new AbortController().signal, progress: () => undefined }

test('an act is for those that it can be done to, whatever else the list shows', () => {
  const of = (act: BulkAct, filter: TaskFilter) => bulkFilter(act, filter)
  assert.deepEqual(of('stop', { action: 'a/b' }), { action: 'a/b', execType: 'FOREVER', wanted: 'up' })
  assert.deepEqual(of('start', { states: ['tripped'] }), { states: ['tripped'], execType: 'FOREVER', wanted: 'down' })
  assert.equal(of('stop', { execType: 'ONCE' }), null)
  assert.equal(of('cancellation', { execType: 'FOREVER' }), null)
  assert.equal(of('cancellation', { states: ['succeeded'] }), null)
  assert.deepEqual(of('cancellation', {}), { execType: 'ONCE', states: ['waiting'] })
  assert.deepEqual(of('run', {}), { execType: 'ONCE', states: ['waiting'], due: 'later', without: 'core/command' })
  assert.deepEqual(of('deletion', { states: ['failed'] }), { states: ['failed'], execType: 'ONCE' })
  assert.deepEqual(of('deletion', {})!.states, ['succeeded', 'failed', 'cancelled'])
  assert.equal(of('deletion', { states: ['running'] }), null)
})

describe('many are acted on by a task of its own, once, and put back by another', () => {
  for (const database of databases) {
    test(`on ${database.name}`, async t => {
      const databaseUrl = await database.url()
      const { background, env, config } = await openScene(t, { actions, ...(databaseUrl ? { databaseUrl } : {}) })
      const { db } = background
      const loops = await background.addTasks(
        Array.from({ length: 3 }, () => ({ action: 'test/forever', options: { execType: 'FOREVER' as const, creator: 'kim' } })),
      )
      const other = await background.addTask('test/forever', {}, { execType: 'FOREVER', creator: 'li' })
      const ids = loops.map(({ id }) => id)
      const ask = async (act: BulkAct, filter: TaskFilter) => {
        const chosen = bulkFilter(act, filter)!
        const upTo = await newestTaskId(db)
        const { count, isAll, first } = await countMatching(config, db, chosen, { before: upTo + 1 })
        return { first, task: await askBulk(background, { act, filter: chosen, upTo, expected: count, isAll }, eva) }
      }
      const states = () => Promise.all([...ids, other.id].map(async id => (await findTask(db, id))!.state))
      assert.equal((await run(env, 'start')).code, 0)
      await waitFor('all run', async () => (await states()).every(state => state === 'running'), 30_000)

      const { task, first } = await ask('stop', { creator: 'kim' })
      assert.deepEqual(first, ids.toReversed())
      await waitFor('kim’s are down', async () => (await states()).join() === 'stopped,stopped,stopped,running', 30_000)
      await waitFor('it says so', async () => (await findTask(db, task.id))!.state === 'succeeded')
      assert.equal((await findTask(db, task.id))!.content, 'stopped 3 loops')

      const undo = await askUndo(background, task.id, eva)
      await waitFor('they are up again', async () => (await states()).every(state => state === 'running'), 30_000)
      await waitFor('it says so, too', async () => (await findTask(db, undo.id))!.state === 'succeeded')
      assert.equal((await findTask(db, undo.id))!.content, 'put back 3 tasks')
      await assert.rejects(askUndo(background, task.id, eva), /changed nothing that is left to undo|has undone task/)
      await assert.rejects(askUndo(background, undo.id, eva), /cannot be undone/)
      await assert.rejects(askUndo(background, other.id, eva), /is not remembered/)

      const acts = (await listAudit(db, { limit: 10 })).map(({ act, subject, detail, userName }) => [act, subject, detail, userName])
      assert.deepEqual(acts.slice(0, 2), [
        ['bulk-undo', String(undo.id), `${bulkAction}, of task ${task.id}`, 'eva'],
        ['bulk-stop', String(task.id), `${bulkAction}, 3: FOREVER creator:kim`, 'eva'],
      ])
    })
  }
})

describe('what was added after the preview, or is not like that any more, is left alone', () => {
  for (const database of databases) {
    test(`on ${database.name}`, async t => {
      const databaseUrl = await database.url()
      const { background, config } = await openScene(t, { actions, ...(databaseUrl ? { databaseUrl } : {}) })
      const { db } = background
      const wait = { delayMs: 3_600_000 }
      const many = await background.addTasks(
        Array.from({ length: 1_200 }, (_, n) => ({
          action: 'test/plain',
          params: { note: n % 2 === 0 ? 'Even one' : 'odd one', password: 'hidden-word' },
          options: { ...wait, creator: 'kim' },
        })),
      )
      const upTo = await newestTaskId(db)
      const later = await background.addTask('test/plain', { note: 'even one' }, { ...wait, creator: 'kim' })
      // Searched as the list searches: whatever its case, and not in what it hides.
      const filter = bulkFilter('cancellation', { creator: 'kim', text: 'EVEN' })!
      assert.deepEqual((await countMatching(config, db, filter, { before: upTo + 1 })).count, 600)
      const hidden = bulkFilter('cancellation', { text: 'hidden-word' })!
      assert.equal((await countMatching(config, db, hidden, { before: upTo + 1 })).count, 0)
      const task = await askBulk(background, { act: 'cancellation', filter, upTo, expected: 600, isAll: true }, eva)
      const told: (number | null)[][] = []
      const progress = (done: number, total: number | null) => void told.push([done, total])
      // Stopped early, it goes on where it was.
      const stop = new AbortController()
      const half = await carryOutBulk(background, task.id, {
        signal: stop.signal,
        progress: (done, total) => {
          progress(done, total)
          stop.abort()
        },
      })
      assert.ok(half.done > 0 && half.done < 600, String(half.done))
      assert.equal((await carryOutBulk(background, task.id, { ...quiet, progress })).done, 600 - half.done)
      assert.deepEqual(told[0], [half.done, 600])
      const states = await db.kysely
        .selectFrom('bg_task')
        .select(({ fn }) => ['state', fn.countAll<number>().as('n')])
        .where('creator', '=', 'kim')
        .groupBy('state')
        .orderBy('state')
        .execute()
      assert.deepEqual(
        states.map(row => [row.state, Number(row.n)]),
        [
          ['cancelled', 600],
          ['waiting', 601],
        ],
      )
      assert.equal((await findTask(db, later.id))!.state, 'waiting')
      assert.equal((await findTask(db, many[1]!.id))!.state, 'waiting')
      await assert.rejects(carryOutBulk(background, later.id, quiet), /Nobody has asked this task for anything/)
    })
  }
})
