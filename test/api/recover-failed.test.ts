import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { recoveryAction } from '../../app/api/ask-recovery.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { listAudit } from '../../app/store/audit.ts'
import type { TaskError } from '../../app/store/errors.ts'
import { findTask } from '../../app/store/find-task.ts'
import { json, run } from '../cli/run.ts'
import { databases, openScene, waitFor } from './scene.ts'

const actions = {
  'test/needs-file': `import { existsSync } from 'node:fs'
export const execute = ({ params }) => {
  if (!existsSync(params.file)) throw new Error('order ' + params.order + ' finds no file ' + JSON.stringify(params.file))
  return 'there'
}`,
}

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
