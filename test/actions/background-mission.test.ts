import assert from 'node:assert/strict'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { describe, test } from 'node:test'
import { inPackage } from '../../app/paths.ts'
import type { KeptArtifact } from '../../app/runs/artifacts-file.ts'
import { cancelTask } from '../../app/store/wishes.ts'
import type { Task } from '../../app/task/task.ts'
import { taskListModel } from '../../app/web/task-list.ts'
import { json, run } from '../cli/run.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

/* What a user of background-mission does in a week, done here: several actions in one file, add and records, an export and its file. */
for (const dialect of dialects) {
  describe(`coming from background-mission, on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('add, records, type and creator, content and file', async t => {
      const databaseUrl = await dialect.newUrl()
      const scene = await makeScene(t, { databaseUrl, env: { BGTASK_ACTIONS: inPackage('app', 'actions') } })
      await scene.supervise()
      const env = {
        PATH: process.env.PATH,
        BGTASK_RUNTIME: scene.runtime,
        BGTASK_ACTIONS: inPackage('app', 'actions'),
        DATABASE_URL: databaseUrl,
      }
      const add = async (...given: string[]) => json<Task>(await run(env, 'add', ...given, '--json'))
      const rows = async (...given: string[]) => (await run(env, 'records', ...given)).stdout.trimEnd().split('\n')

      // mission:add, and the states that mission:records showed.
      const hello = await add('demo/report/hello-world', '--type', 'system', '--creator', 'kim')
      const sums = await add('demo/report/tasks-by-state', '{"type": "system"}', '--creator', 'kim')
      const wrong = await add('demo/report/tasks-by-state', '{"type": "nobody\'s"}', '--type', 'system')
      const exported = await add('demo/csv-export', '{"rows": 200000}', '--type', 'system')
      assert.equal((await scene.untilState(hello.id, 'succeeded')).content, 'hello world, kim')
      await scene.untilState(sums.id, 'succeeded')
      assert.match((await scene.untilState(wrong.id, 'failed')).content!, /There is no task of type nobody's/)
      const { content: path } = await scene.untilState(exported.id, 'succeeded')

      const [head, , ...all] = await rows()
      assert.deepEqual(head!.trim().split(/\s+/), ['id', 'uid', 'action', 'type', 'state', 'params', 'content'])
      assert.equal(all.length, 4)
      const line = all.find(row => row.includes('hello-world'))!
      assert.match(
        line.trim(),
        new RegExp(`^${hello.id}\\s+${hello.uid}\\s+demo/report/hello-world\\s+system\\s+succeeded\\s+\\{\\}\\s+hello world, kim$`),
      )
      const ids = async (...given: string[]) => json<Task[]>(await run(env, 'records', '--json', ...given)).map(({ id }) => id)
      assert.deepEqual(await ids('--type', 'system'), [exported.id, wrong.id, hello.id])
      assert.deepEqual(await ids('--creator', 'kim'), [sums.id, hello.id])
      assert.deepEqual(await ids('--type', 'system', '--creator', 'kim'), [hello.id])
      assert.deepEqual(await ids('--type', 'system', '--state', 'failed'), [wrong.id])
      assert.deepEqual(await ids('--type', 'System'), [])

      // The file, by the uid of its task.
      const shown = json<{ artifacts: KeptArtifact[] }>(await run(env, 'show', exported.uid, '--json'))
      assert.deepEqual([shown.artifacts.length, shown.artifacts[0]!.path], [1, path])
      assert.equal(readFileSync(path!, 'utf8').split('\r\n').length, 200_002)
      assert.match(
        (await run(env, 'show', String(exported.id))).stdout,
        /file {2,}size {2,}lies at\n.*\n\d{14}-\d+-1\.csv {2,}[\d.]+ MB {2,}\//,
      )
      const { artifacts } = json<{ artifacts: KeptArtifact[] }>(await run(env, 'show', String(sums.id), '--json'))
      assert.equal(artifacts[0]!.name, 'tasks by state.csv')
      assert.match(readFileSync(artifacts[0]!.path, 'utf8'), /^\ufeffstate,tasks\r\n/)
      assert.equal(artifacts[0]!.sizeBytes, statSync(artifacts[0]!.path).size)
      rmSync(path!)

      // An empty output says so, and a time names its zone.
      const silent = await run(env, 'output', String(hello.id), '-n', '5')
      assert.deepEqual([silent.code, silent.stdout, silent.stderr], [0, '', `Run 1 of task ${hello.id} printed nothing.\n`])
      assert.match(
        (await run({ ...env, TZ: 'Asia/Kolkata' }, 'show', String(hello.id))).stdout,
        /created {3}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+05:30/,
      )
    })

    test('progress is told while it runs', async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env: { BGTASK_ACTIONS: inPackage('app', 'actions') } })
      await scene.supervise()
      const { id } = await scene.background.addTask('demo/csv-export', { rows: 1_000_000_000 })
      const done = await until('the list shows how far it is', async () => {
        const { tasks } = await taskListModel({ ...scene, root: '/admin' } as never, { type: '' })
        return tasks[0]?.beat?.progress?.done
      })
      assert.ok(done > 0)
      await cancelTask(scene.background.db, id, 'the test', Date.now())
      await scene.untilState(id, 'cancelled')
    })
  })
}
