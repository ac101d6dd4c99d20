import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { loopStatus } from '../../app/api/loop-status.ts'
import { reloadLoop } from '../../app/api/reload-loop.ts'
import { startLoop, supervisorEnvironment, waitForLoop } from '../../app/api/start-loop.ts'
import { longestGraceMs, stopLoop, waitForStop } from '../../app/api/stop-loop.ts'
import { readHold } from '../../app/runs/flags.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { findTask } from '../../app/store/find-task.ts'
import { makeScene, openScene, waitFor } from './scene.ts'

const by = 'the test'

test('started, it runs what waits; stopped, it is gone, and its flags with it', async t => {
  const { config, background } = await openScene(t)
  const { id } = await background.addTask('test/plain')
  const started = await startLoop(config, { by })
  assert.equal(started.state, 'started')
  const supervisor = await waitForLoop(config)
  assert.equal(supervisor.pid, started.pid)
  await waitFor('the task has run', async () => (await findTask(background.db, id))?.state === 'succeeded')

  const again = await startLoop(config, { by })
  assert.deepEqual([again.started, again.state, again.pid], [false, 'running', supervisor.pid])
  assert.match(again.sentence, /runs already/)

  const status = await loopStatus(config, background.db)
  assert.deepEqual([status.supervisor?.pid, status.database.away, status.counts?.succeeded, status.hold], [supervisor.pid, null, 1, null])

  assert.equal((await reloadLoop(config, { by })).asked, true)
  const stop = await stopLoop(config, { by })
  assert.equal(stop.asked, true)
  assert.equal(await longestGraceMs(config, background.db), 10_000)
  assert.equal(await waitForStop(config, supervisor, { timeoutMs: 20_000 }), true)
  assert.equal(readSupervisor(config.runtime), null)
  assert.equal(existsSync(runtimePaths(config.runtime).stop), false)
  assert.deepEqual(await stopLoop(config, { by }), { asked: false, supervisor: null, sentence: 'The supervisor does not run.' })
  assert.equal(existsSync(runtimePaths(config.runtime).stop), false)
  assert.equal((await reloadLoop(config, { by })).asked, false)
})

test('a hold keeps it down until it is released', async t => {
  const { config } = await makeScene(t)
  await stopLoop(config, { by, hold: true })
  const held = await startLoop(config, { by })
  assert.deepEqual([held.started, held.state], [false, 'hold'])
  assert.match(held.sentence, /on hold by the test since 20/)
  assert.equal((await startLoop(config, { by, releaseHold: true })).state, 'started')
  assert.equal(readHold(config.runtime), null)
  await waitForLoop(config)
})

test('fifty at the same moment start one', async t => {
  const { config } = await makeScene(t)
  const answers = await Promise.all(Array.from({ length: 50 }, () => startLoop(config, { by })))
  assert.equal(answers.filter(answer => answer.started).length, 1)
  assert.equal(new Set(answers.map(answer => answer.pid)).size, 1)
  await waitForLoop(config)
})

test('a supervisor that cannot start is told with the last line of its log', async t => {
  const { config } = await makeScene(t)
  prepareRuntimeFolder(config.runtime)
  writeFileSync(runtimePaths(config.runtime).log, 'x'.repeat(10_000_001))
  await startLoop({ ...config, databaseUrl: 'strange:address' }, { by })
  await assert.rejects(
    waitForLoop(config),
    /did not start: its process ended with exit code 78\. The last line of .*DATABASE_URL is "strange:address"/,
  )
  const { log } = runtimePaths(config.runtime)
  assert.equal(statSync(`${log}.1`).size, 10_000_001)
  assert.ok(readFileSync(log, 'utf8').length < 1000)
  assert.equal(statSync(log).mode & 0o777, 0o600)
})

test('the supervisor gets the whole configuration, by named variables without a password or the mark of a run', async t => {
  const { config } = await makeScene(t)
  const parent = {
    ...{ PATH: '/bin', BGTASK_ADMIN_PASSWORD: 'secret', BGTASK_RUN: 'mark', BGTASK_RUN_FOLDER: '/x', PORT: '1', A: 'a' },
    ...{ DATABASE_URL: 'mysql://kim:secret@db/x', NODE_OPTIONS: '--inspect', npm_config_token: 'secret', MY_SECRET: 'secret' },
  }
  const env = supervisorEnvironment({ ...config, childEnv: ['A', 'B'], maxRunning: 3 }, parent)
  assert.deepEqual([env.BGTASK_ADMIN_PASSWORD, env.BGTASK_RUN, env.BGTASK_RUN_FOLDER], [undefined, undefined, undefined])
  assert.deepEqual([env.PATH, env.A, env.BGTASK_CHILD_ENV, env.BGTASK_MAX_RUNNING], ['/bin', 'a', 'A,B', '3'])
  assert.equal(env.DATABASE_URL_FILE, runtimePaths(config.runtime).databaseUrl)
  assert.deepEqual([env.DATABASE_URL, env.NODE_OPTIONS, env.npm_config_token], [undefined, undefined, undefined])
  assert.ok(!Object.values(env).some(value => value?.includes('secret')), JSON.stringify(env))
})

test('how things stand can be told without a database', async t => {
  const { config } = await makeScene(t, { untouched: true })
  const status = await loopStatus(config, new Error('nobody answers'))
  assert.deepEqual(status.database.away, 'nobody answers')
  assert.deepEqual([status.supervisor, status.loops, status.counts], [null, null, null])
  assert.equal(existsSync(config.runtime), false)
})
