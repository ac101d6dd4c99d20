import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { inPackage } from '../../app/paths.ts'
import { openDatabase } from '../../app/store/database.ts'
import { findTask } from '../../app/store/find-task.ts'
import { databases, makeScene } from './scene.ts'

const script = `
import { addTask, addTasks } from ${JSON.stringify(inPackage('app', 'index.ts'))}
const [first, second] = await Promise.all([addTask('test/plain', { n: 1 }), addTasks([{ action: 'test/plain', params: { n: 2 } }])])
console.log(JSON.stringify([first.id, second[0].id]))
`

for (const database of databases) {
  test(`a program of the user's own adds tasks and ends by itself, on ${database.name}`, async t => {
    const url = await database.url()
    const { env, config, folder } = await makeScene(t, url ? { databaseUrl: url } : {})
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      env,
      cwd: join(folder),
      encoding: 'utf8',
      timeout: 30_000,
    })
    assert.deepEqual([ended.status, ended.stderr], [0, ''])
    const db = await openDatabase(config.databaseUrl)
    t.after(() => db.close())
    for (const id of JSON.parse(ended.stdout) as number[]) assert.equal((await findTask(db, id))?.state, 'waiting')
  })
}

test('addTask loads no web server', async t => {
  const { env } = await makeScene(t)
  const look = `${script}
`
  const traced = spawnSync(process.execPath, ['--input-type=module', '-e', look], {
    env: { ...env, NODE_DEBUG: 'esm' },
    encoding: 'utf8',
    timeout: 30_000,
    maxBuffer: 1e8,
  })
  assert.equal(traced.status, 0)
  assert.ok(!/node_modules\/(fastify|pino|commander|eta)\//.test(traced.stderr + traced.stdout))
})
