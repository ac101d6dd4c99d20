import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { askRecovery } from '../../app/api/ask-recovery.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readTicket } from '../../app/runs/ticket.ts'
import { listAudit } from '../../app/store/audit.ts'
import { presentFinal } from '../../app/store/counters.ts'
import { type Db, openDatabase } from '../../app/store/database.ts'
import { listErrors, type TaskError } from '../../app/store/errors.ts'
import { findTask } from '../../app/store/find-task.ts'
import { listRuns } from '../../app/store/list-runs.ts'
import { recoveryAction } from '../../app/task/core-actions.ts'
import { json, run } from '../cli/run.ts'
import { seedFailed } from '../store/seed-failed.ts'
import { databases, openScene, waitFor } from './scene.ts'

const actions = {
  'test/needs-file': `import { existsSync } from 'node:fs'
export const execute = ({ params }) => {
  if (!existsSync(params.file)) throw new Error('order ' + params.order + ' finds no file ' + JSON.stringify(params.file))
  return 'there'
}`,
  // Stays and fails thousands in a moment.
  'test/fails-again': `export default { isolation: 'resident', concurrency: 50, execute() { throw new Error('it failed again') } }`,
}
const eva = { by: 'eva', actor: { name: 'eva', ip: null, via: 'command-line' } } as const

describe('what failed is run again, or discarded, by a task of its own', () => {
  for (const database of databases) {
    test(`on ${database.name}`, async t => {
      const databaseUrl = await database.url()
      const { background, env, folder, config } = await openScene(t, { actions, ...(databaseUrl ? { databaseUrl } : {}) })
      const { db } = background
      const file = join(folder, 'file')
      const tasks = await background.addTasks(
        [1, 2, 3, 4].map(order => ({ action: 'test/needs-file', params: { file, order }, options: { creator: order < 4 ? 'kim' : 'li' } })),
      )
      assert.equal((await run(env, 'start')).code, 0)
      const state = async (id: number) => (await findTask(db, id))?.state
      for (const { id } of tasks) await waitFor(`task ${id} fails`, async () => (await state(id)) === 'failed')

      const [error, ...others] = json<TaskError[]>(await run(env, 'failed', 'list', '--json'))
      assert.deepEqual([others.length, error!.count, error!.action], [0, 4, 'test/needs-file'])
      assert.match((await run(env, 'failed', 'list')).stdout, /order \d finds no file/)
      assert.match((await run(env, 'failed', 'retry')).stderr, /Say which: --action, --type, --creator or --error; or --all/)
      assert.match((await run(env, 'failed', 'retry', '--error', 'x')).stderr, /error is "x"/)

      writeFileSync(file, '')
      const retried = await run(env, 'failed', 'retry', '--creator', 'kim')
      assert.match(retried.stdout, /^Task \d+ sees to it that 3 failed tasks are run again/)
      for (const { id, creator } of tasks) {
        if (creator === 'kim') await waitFor(`task ${id} succeeds`, async () => (await state(id)) === 'succeeded')
        else assert.equal(await state(id), 'failed')
      }
      const recovery = Number(/\d+/.exec(retried.stdout)![0])
      await waitFor('it says so', async () => (await state(recovery)) === 'succeeded')
      const { action, content, type } = (await findTask(db, recovery))!
      assert.deepEqual([action, content, type], [recoveryAction, 'retried 3 failed tasks', 'recovery'])

      const left = tasks[3]!
      const run1 = runtimePaths(config.runtime).run(`${left.id}-1`).folder
      assert.ok(existsSync(run1))
      const { task } = json<{ task: { id: number } }>(await run(env, 'failed', 'discard', '--error', error!.key, '--json'))
      await waitFor('it is gone', async () => (await state(left.id)) === undefined)
      await waitFor('it says so, too', async () => (await state(task.id)) === 'succeeded')
      assert.equal(existsSync(run1), false)
      assert.deepEqual(json(await run(env, 'failed', 'list', '--json')), [])
      const acts = (await listAudit(db, { limit: 10 })).map(({ act, detail }) => `${act}: ${detail}`)
      assert.ok(
        acts.some(act => act === 'failed-retry: core/recover, retry: creator kim'),
        acts.join('\n'),
      )
      assert.ok(
        acts.some(act => act === `failed-discard: core/recover, discard: error ${error!.key}`),
        acts.join('\n'),
      )
    })
  }
})

describe('a recovery that is killed in the middle goes on where it was: nothing is retried twice, nothing is left out', () => {
  for (const database of databases) {
    test(`on ${database.name}`, async t => {
      const databaseUrl = await database.url()
      const { background, env, config } = await openScene(t, { actions, ...(databaseUrl ? { databaseUrl } : {}) })
      const { db } = background
      const action = 'test/fails-again'
      const at = Date.now() - 60_000
      const mine = await seedFailed(db, 3_000, { action, creator: 'kim', at, keyed: 20 })
      const others = await seedFailed(db, 300, { action, creator: 'li', at })
      const { task } = await askRecovery(background, 'retry', { creator: 'kim' }, eva)
      const seededLeft = async () => (await listErrors(db, { limit: 10 })).find(({ key }) => key === 'error of kim')?.count ?? 0

      const blocker = await openDatabase(db.url)
      t.after(() => blocker.close())
      const { unblock } = await blockInTheMiddle(blocker, mine.last, async () => {
        assert.equal((await run(env, 'start')).code, 0)
        await waitFor('some are retried', async () => (await seededLeft()) < 3_000)
      })
      const left = await seededLeft()
      assert.ok(left > 0 && left < 3_000, `${left} of 3,000 are left`)
      process.kill(readTicket(runtimePaths(config.runtime).run(`${task.id}-1`).folder)!.process!.pid, 'SIGKILL')
      await unblock()

      const state = async (id: number) => (await findTask(db, id))!.state
      await waitFor('the second run does the rest', async () => (await state(task.id)) === 'succeeded')
      assert.deepEqual(
        (await listRuns(db, task.id, { limit: 5 })).map(({ number, outcome }) => [number, outcome]),
        [
          [2, 'succeeded'],
          [1, 'killed'],
        ],
      )
      assert.equal((await findTask(db, task.id))!.content, `retried ${left.toLocaleString('en')} failed tasks`)
      const count = async () =>
        (
          await db.kysely
            .selectFrom('bg_task')
            .select(({ fn }) => [
              'state',
              'number',
              fn.countAll<number>().as('n'),
              fn.min<number>('id').as('first'),
              fn.max<number>('id').as('last'),
            ])
            .where('action', '=', action)
            .groupBy(['state', 'number'])
            .orderBy('number')
            .execute()
        ).map(row => [row.state, ...[row.number, row.n, row.first, row.last].map(Number)])
      const all = [
        ['failed', 1, 300, others.first, others.last],
        ['failed', 2, 3_000, mine.first, mine.last],
      ]
      await waitFor('each has failed once more', async () => JSON.stringify(await count()) === JSON.stringify(all), 30_000)
      assert.deepEqual((await listErrors(db, { limit: 10 })).map(({ sample, count }) => [sample, count]).sort(), [
        ['it failed again', 3_000],
        ['the seeded error', 300],
      ])
      assert.equal((await presentFinal(db.kysely)).failed, 3_300)
    })
  }
})

test('who had them run again is told by the task that did it, and not by a name that is given with it', async t => {
  const { background, env } = await openScene(t, { actions })
  const { db } = background
  const { first } = await seedFailed(db, 1, { action: 'test/needs-file', creator: 'kim', at: Date.now() - 60_000 })
  const forged = { do: 'retry', filter: {}, failedBefore: Date.now(), by: 'admin' }
  await assert.rejects(background.addTask(recoveryAction, forged), /The params do not fit core\/recover: .*by/)
  const { by: _by, ...params } = forged
  const { id } = await background.addTask(recoveryAction, params, { creator: 'admin' })
  assert.equal((await run(env, recoveryAction, String(id))).code, 0)
  const { state, reason } = (await findTask(db, first))!
  assert.deepEqual([state, reason?.code, reason?.by], ['waiting', 'wished-again', `#${id}`])
})

/**
 * Lets a recovery go on until it stands in the middle. On a server the last row is locked beforehand; on SQLite the place of the writer is taken once it
 * has begun, which it leaves free for moments.
 */
const blockInTheMiddle = async (db: Db, last: number, begun: () => Promise<void>): Promise<{ unblock: () => Promise<void> }> => {
  if (db.dialect === 'sqlite') await begun()
  const trx = await db.kysely.startTransaction().execute()
  if (db.dialect === 'mysql') {
    await trx.selectFrom('bg_task').select('id').where('id', '=', last).forUpdate().execute()
    await begun()
  }
  return {
    unblock: async () => {
      await trx.rollback().execute()
    },
  }
}
