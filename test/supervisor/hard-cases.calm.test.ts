import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { readStat } from '../../app/runs/process-identity.ts'
import { runPaths, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { makeScene, overlaps, until } from '../helpers/scene.ts'

test('a run that gets SIGTERM from elsewhere was killed, not interrupted: it is counted and not run again without end', async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  const once = await scene.background.addTask('test/terminates-itself')
  const loop = await scene.background.addTask('test/terminates-itself', {}, 'FOREVER')
  const ended = await scene.untilState(once.id, 'failed', 30_000)
  assert.equal(ended.reason?.code, 'crashed-for-good')
  assert.deepEqual(
    (await scene.runs(once.id)).map(run => [run.outcome, run.signal]),
    Array(3).fill(['killed', 'SIGTERM']),
  )
  const { number } = await scene.task(loop.id)
  assert.ok(number <= 7, `the loop was started ${number} times`)
  await supervisor.stop()
})

test('a run that its dead supervisor had stopped to rotate its output goes on', async t => {
  const scene = await makeScene(t)
  let supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/witness-loop', { witness: scene.witness }, 'FOREVER')
  await scene.untilState(id, 'running')
  const pid = await until('it has a process', () => scene.marked()[0]?.pid)
  await supervisor.kill()
  // What the guard leaves when it is killed between stop and go.
  writeFileSync(runPaths(join(scene.runtime, 'runs', `${id}-1`)).rotating, '')
  process.kill(pid, 'SIGSTOP')
  await until('it is stopped', () => readStat(pid)?.state === 'T')
  supervisor = await scene.supervise()
  await until('it goes on', () => readStat(pid)?.state !== 'T')
  await supervisor.stop()
})

test('a run folder that somebody broke costs one run its story, and nobody else anything', async t => {
  const scene = await makeScene(t)
  let supervisor = await scene.supervise()
  const { background, witness } = scene
  const loop = await background.addTask('test/witness-loop', { witness }, 'FOREVER')
  const broken = await background.addTask('test/hangs', {}, { rerunAfterCrash: false })
  for (const { id } of [loop, broken]) await scene.untilState(id, 'running')
  const folder = join(scene.runtime, 'runs', `${broken.id}-1`)
  const pid = await until('it has a process', () => scene.marked().find(({ mark }) => mark.includes(`/${broken.id}-1/`))?.pid)
  for (const name of ['output.log', 'beat.json']) {
    rmSync(join(folder, name), { force: true })
    mkdirSync(join(folder, name))
  }
  process.kill(pid, 'SIGKILL')
  await scene.untilState(broken.id, 'failed')
  assert.equal((await scene.runs(broken.id))[0]!.outcome, 'killed')
  assert.equal(supervisor.process.exitCode, null)

  const unread = await background.addTask('test/hangs', {}, { rerunAfterCrash: false })
  await scene.untilState(unread.id, 'running')
  await supervisor.kill()
  const ticket = join(scene.runtime, 'runs', `${unread.id}-1`, 'ticket.json')
  rmSync(ticket)
  mkdirSync(ticket)
  supervisor = await scene.supervise()
  await delay(1_500)
  assert.equal(supervisor.process.exitCode, null, 'the next supervisor lives with it')
  assert.equal((await scene.task(loop.id)).number, 1)
  await supervisor.stop()
})

test('an outcome that holds nonsense is the end of that run alone', async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/hangs', {}, { rerunAfterCrash: false })
  await scene.untilState(id, 'running')
  const pid = await until('it has a process', () => scene.marked()[0]?.pid)
  writeFileSync(
    join(scene.runtime, 'runs', `${id}-1`, 'outcome.json'),
    JSON.stringify({
      kind: 'succeeded',
      content: { an: 'object' },
      endedAt: 'soon',
      iterations: 1e300,
      exitCode: [],
      error: 'x'.repeat(1_000_000),
    }),
  )
  process.kill(pid, 'SIGKILL')
  await scene.untilState(id, 'succeeded')
  const other = await scene.background.addTask('test/ok')
  await scene.untilState(other.id, 'succeeded')
  assert.equal(readSupervisor(scene.runtime)!.databaseAwaySince, null)
  await supervisor.stop()
})

test('a new action that hangs while it is loaded holds up nobody', async t => {
  const actions = mkdtempSync(join(import.meta.dirname, '..', 'fixtures', 'copy-'))
  t.after(() => rmSync(actions, { recursive: true, force: true }))
  cpSync(join(import.meta.dirname, '..', 'fixtures', 'actions'), actions, { recursive: true })
  const library = JSON.stringify(join(import.meta.dirname, '..', '..', 'app', 'index.ts'))
  for (const name of ['_witness.ts', 'witness-loop.ts']) {
    const path = join(actions, 'test', name)
    writeFileSync(path, readFileSync(path, 'utf8').replace(/'[./]*\/app\/index\.ts'/, library))
  }
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: actions } })
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/witness-loop', { witness: scene.witness }, 'FOREVER')
  await scene.untilState(id, 'running')
  const pid = await until('it has a process', () => scene.marked()[0]?.pid)
  writeFileSync(join(actions, 'test', 'hangs-at-load.ts'), 'for (;;) Math.random()\n')
  process.kill(pid, 'SIGKILL')
  await until('it is up again', () => scene.witnessed().some(sign => sign.number === 2), 5_000)
  assert.deepEqual(overlaps(scene.witnessed()), [])
  await supervisor.stop()
})

test('a supervisor whose lock file was removed goes, so that there are never two for long; what runs goes on', async t => {
  const scene = await makeScene(t)
  const first = await scene.supervise()
  const { id } = await scene.background.addTask('test/witness-loop', { witness: scene.witness }, 'FOREVER')
  await scene.untilState(id, 'running')
  const ended = new Promise(resolve => first.process.once('exit', resolve))
  rmSync(runtimePaths(scene.runtime).lock)
  assert.equal(await ended, 75)
  assert.match(scene.supervisorLog(), /bgtask\.lock was removed/)
  const second = await scene.supervise()
  await scene.untilState(id, 'running')
  assert.equal((await scene.task(id)).number, 1, 'adopted')
  assert.deepEqual(overlaps(scene.witnessed()), [])
  await second.stop()
})

test('what escaped from the group of a run that was killed is ended with it', async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/escaped-grandchild', {}, { rerunAfterCrash: false })
  await scene.untilState(id, 'running')
  const output = join(scene.runtime, 'runs', `${id}-1`, 'output.log')
  await until('the grandchild is there', () => existsSync(output) && readFileSync(output, 'utf8').includes('grandchild'))
  const leader = scene.marked().find(({ pid }) => readStat(pid)?.groupId === pid && readStat(pid)?.parentPid === supervisor.process.pid)!
  process.kill(leader.pid, 'SIGKILL')
  await scene.untilState(id, 'failed')
  await until('all of it is gone', () => scene.marked().length === 0, 3_000)
  await supervisor.stop()
})
