import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { hold, releaseHold } from '../../app/runs/flags.ts'
import { bootId } from '../../app/runs/process-identity.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { makeScene, overlaps, until } from '../helpers/scene.ts'

const launcher = join(import.meta.dirname, '..', '..', 'index.js')

test('of 20 supervisors started at once one gets the folder, the others say who has it and leave with 75', async t => {
  const scene = await makeScene(t)
  const env = { PATH: process.env.PATH!, BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: scene.config.actions[0]! }
  const started = Array.from({ length: 20 }, () => {
    const child = spawn(process.execPath, [launcher, 'supervise'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    t.after(() => child.kill('SIGKILL'))
    let text = ''
    child.stdout.on('data', piece => {
      text += piece
    })
    return { child, text: () => text, code: new Promise<number | null>(resolve => child.once('exit', resolve)) }
  })
  const codes = await until(
    'all but one have left',
    async () => {
      const left = started.filter(({ child }) => child.exitCode !== null)
      return left.length === started.length - 1 ? left.map(({ child }) => child.exitCode) : null
    },
    60_000,
  )
  assert.deepEqual([...new Set(codes)], [75])
  const winner = started.find(({ child }) => child.exitCode === null)!
  assert.equal(readSupervisor(scene.runtime)?.pid, winner.child.pid)
  const loser = started.find(one => one !== winner)!
  assert.match(loser.text(), /already has/)
  winner.child.kill('SIGTERM')
  assert.equal(await winner.code, 0)
})

test('a pid file left behind, or naming a pid that somebody else has now, is believed by nobody', async t => {
  const scene = await makeScene(t)
  const stranger = spawn('sleep', ['60'])
  t.after(() => stranger.kill('SIGKILL'))
  const paths = runtimePaths(scene.runtime)
  for (const lie of [
    { pid: stranger.pid, startTicks: 1, bootId: bootId() },
    { pid: stranger.pid, startTicks: 1, bootId: 'another boot' },
    { pid: 2 ** 22 - 1, startTicks: 1, bootId: bootId() },
  ]) {
    writeFileSync(paths.pid, JSON.stringify({ ...lie, epoch: 'old', version: '0', startedAt: 1, tickAt: 1 }))
    assert.equal(readSupervisor(scene.runtime), null)
  }
  const supervisor = await scene.supervise()
  assert.equal(readSupervisor(scene.runtime)!.pid, supervisor.process.pid)
  assert.equal(await supervisor.stop(), 0)
  assert.equal(stranger.exitCode, null, 'the stranger was left alone')
})

test('a run whose pid has been given to somebody else is recorded as lost, and the stranger is not touched', async t => {
  const scene = await makeScene(t)
  let supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('test/hangs', {}, { rerunAfterCrash: false })
  await scene.untilState(id, 'running')
  const ticketPath = join(scene.runtime, 'runs', `${id}-1`, 'ticket.json')
  const pid = await until('it has a process', () => scene.marked()[0]?.pid)
  await supervisor.kill()
  process.kill(pid, 'SIGKILL')
  const stranger = spawn('sleep', ['60'])
  t.after(() => stranger.kill('SIGKILL'))
  const ticket = JSON.parse(readFileSync(ticketPath, 'utf8'))
  writeFileSync(ticketPath, JSON.stringify({ ...ticket, process: { ...ticket.process, pid: stranger.pid } }))
  supervisor = await scene.supervise()
  await scene.untilState(id, 'failed')
  assert.equal((await scene.runs(id))[0]!.outcome, 'lost')
  assert.equal(stranger.exitCode, null)
  await supervisor.stop()
})

test('a stop flag for another life is removed and stops nobody; one made by hand stops the loop', async t => {
  const scene = await makeScene(t)
  const paths = runtimePaths(scene.runtime)
  writeFileSync(paths.stop, '')
  const supervisor = await scene.supervise()
  const ended = new Promise(resolve => supervisor.process.once('exit', resolve))
  writeFileSync(paths.stop, JSON.stringify({ epoch: 'an-older-life', by: 'test', at: 0 }))
  await until('the stale flag is gone', () => !existsSync(paths.stop))
  assert.equal(supervisor.process.exitCode, null)
  writeFileSync(paths.stop, '')
  assert.equal(await ended, 0)
  assert.equal(existsSync(paths.stop), false)
  assert.equal(existsSync(paths.pid), false)
})

test('an operator’s hold keeps the loop down until it is released', async t => {
  const scene = await makeScene(t)
  hold(scene.runtime, 'ada', Date.now())
  await assert.rejects(scene.supervise(), /on hold since .* by ada/)
  releaseHold(scene.runtime)
  const supervisor = await scene.supervise()
  assert.equal(await supervisor.stop(), 0)
})

test('stopping the loop: loops end after their iteration, tasks are interrupted and wait again with no attempt counted', async t => {
  const scene = await makeScene(t)
  const { background, witness } = scene
  let supervisor = await scene.supervise()
  const loop = await background.addTask('test/witness-loop', { witness }, 'FOREVER')
  const short = await background.addTask('test/witness-once', { witness, ms: 1_500 }, { graceMs: 5_000 })
  const long = await background.addTask('test/hangs', {}, { graceMs: 500 })
  for (const { id } of [loop, short, long]) await scene.untilState(id, 'running')
  await until('the short one has begun', () => scene.witnessed().some(sign => sign.taskId === short.id))
  assert.equal(await supervisor.stop(), 0)
  assert.equal((await scene.task(short.id)).state, 'succeeded', 'it was let finish')
  const interrupted = await scene.task(long.id)
  assert.deepEqual(
    [interrupted.state, interrupted.attempt, interrupted.crashCount, interrupted.reason?.code],
    ['waiting', 0, 0, 'interrupted'],
  )
  assert.deepEqual([(await scene.task(loop.id)).state, (await scene.task(loop.id)).wanted], ['stopped', 'up'])
  assert.ok(
    scene.witnessed().some(sign => sign.taskId === loop.id && sign.what === 'end'),
    'the loop ended in good order',
  )
  supervisor = await scene.supervise()
  await scene.untilState(loop.id, 'running')
  await scene.untilState(long.id, 'running')
  assert.deepEqual(overlaps(scene.witnessed()), [])
  await supervisor.stop()
})

test('reload replaces the loops one after the other, the supervisor stays', async t => {
  const scene = await makeScene(t)
  const { background, witness } = scene
  const supervisor = await scene.supervise()
  const ids = await Promise.all([1, 2, 3].map(async () => (await background.addTask('test/witness-loop', { witness }, 'FOREVER')).id))
  for (const id of ids) await scene.untilState(id, 'running')
  writeFileSync(runtimePaths(scene.runtime).reload, '')
  for (const id of ids)
    await until(`loop ${id} is a fresh one`, async () => (await scene.task(id)).number === 2 && (await scene.task(id)).state === 'running')
  const lives = await Promise.all(
    ids.map(async id => {
      const runs = await scene.runs(id)
      return { ended: runs.find(run => run.number === 1)!.endedAt!, begun: runs.find(run => run.number === 2)!.startedAt }
    }),
  )
  const inOrder = lives.sort((one, other) => one.ended - other.ended)
  for (const [index, life] of inOrder.slice(1).entries()) {
    assert.ok(life.ended >= inOrder[index]!.begun, 'the next one is stopped when the last has a fresh process')
  }
  assert.equal(readSupervisor(scene.runtime)!.epoch, supervisor.info.epoch)
  await supervisor.stop()
})

test('a loop that finishes no iteration within stallMs is marked, and restarted when it asked for that', async t => {
  const scene = await makeScene(t)
  const supervisor = await scene.supervise()
  const marked = await scene.background.addTask('test/stalls-marked', {}, { execType: 'FOREVER', graceMs: 500 })
  const restarted = await scene.background.addTask('test/stalls', {}, { execType: 'FOREVER', graceMs: 500 })
  assert.equal((await scene.untilState(marked.id, 'stalled')).reason?.code, 'stalled')
  await until('the other one is a fresh one', async () => (await scene.task(restarted.id)).number === 2)
  assert.equal((await scene.runs(restarted.id)).find(run => run.number === 1)!.outcome, 'timed-out')
  assert.equal((await scene.task(marked.id)).number, 1)
  await supervisor.stop()
})
