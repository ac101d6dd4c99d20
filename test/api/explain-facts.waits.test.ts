import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { createFactsFor } from '../../app/api/explain-facts.ts'
import { explainTask, shownState } from '../../app/task/explain.ts'
import { makeScene, until } from '../helpers/scene.ts'

const launcher = join(import.meta.dirname, '..', '..', 'index.js')

test('a dead process is not called running, also when no supervisor is there to say so', async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/forever', {}, 'FOREVER')
  await scene.untilState(id, 'running')
  const pid = await until('it has a process', () => scene.marked()[0]?.pid)
  await supervisor.kill()
  const look = async () => {
    const task = await scene.task(id)
    const facts = createFactsFor(scene.config)(task, null)
    return { row: task.state, shown: shownState(task, facts), ...explainTask(task, facts) }
  }
  const alive = await look()
  assert.deepEqual([alive.shown, alive.next?.key], ['running', 'next.loopDown'])
  process.kill(pid, 'SIGKILL')
  const dead = await until('it is seen', async () => {
    const seen = await look()
    return seen.shown === 'running' ? null : seen
  })
  assert.deepEqual([dead.row, dead.shown, dead.why.key, dead.next?.key], ['running', 'stopped', 'why.gone', 'next.loopDown'])
  const env = { PATH: process.env.PATH!, BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: scene.config.actions[0]! }
  const shown = spawnSync(process.execPath, [launcher, 'show', String(id)], { env, encoding: 'utf8' }).stdout
  assert.match(shown, /state\s+stopped.*\n.*Its process is gone/)
})

test('a frozen supervisor is silent, not up', async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/forever', {}, 'FOREVER')
  const task = await scene.untilState(id, 'running')
  assert.equal(createFactsFor(scene.config)(task, null).supervisor, 'running')
  supervisor.process.kill('SIGSTOP')
  await until('it is noticed', () => createFactsFor(scene.config)(task, null).supervisor === 'silent')
  supervisor.process.kill('SIGCONT')
  await until('it speaks again', () => createFactsFor(scene.config)(task, null).supervisor === 'running')
  await supervisor.stop()
})
