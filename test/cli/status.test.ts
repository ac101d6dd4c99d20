import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { checkInstallation } from '../../app/api/check.ts'
import { identify } from '../../app/runs/process-identity.ts'
import { removeSupervisor, type SupervisorInfo, writeSupervisor } from '../../app/runs/supervisor-file.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { openScene } from '../api/scene.ts'
import { runEnd } from '../helpers/run-end.ts'
import { run } from './run.ts'

test('status, check and the pages call a supervisor silent by the same rule', async t => {
  const { config, env } = await openScene(t)
  // It stands in for a supervisor that lives and says nothing.
  const quiet = spawn('sleep', ['60'])
  t.after(() => quiet.kill())
  const write = (quietMs: number) =>
    writeSupervisor(config.runtime, {
      ...identify(quiet.pid!)!,
      epoch: 'e',
      version: '0',
      startedAt: Date.now() - 60_000,
      tickAt: Date.now() - quietMs,
      phase: 'running',
      databaseAwaySince: null,
      unrecorded: 0,
      running: 0,
      loops: 0,
    } satisfies SupervisorInfo)
  t.after(() => removeSupervisor(config.runtime))
  const loopFinding = async () => (await checkInstallation(config)).find(({ subject }) => subject === 'loop')!
  write(7_000)
  assert.match((await run(env, 'status')).stdout, /silent for [\d.]+ s: it may hang or be stopped; see check/)
  write(7_000)
  assert.equal((await loopFinding()).level, 'error')
  write(0)
  assert.doesNotMatch((await run(env, 'status')).stdout, /silent/)
  write(0)
  assert.equal((await loopFinding()).level, 'ok')
  removeSupervisor(config.runtime)
})

test('status tells of a loop that is in trouble how it ended, and of what, and first of those that end badly again and again', async t => {
  const { background, env } = await openScene(t)
  const { db } = background
  const { id } = await background.addTask('test/plain', {}, 'FOREVER')
  const at = Date.now()
  const end = runEnd('failed', at, { content: 'connect ECONNREFUSED 127.0.0.1:5433', exitCode: 1 })
  await saveLoops(
    db,
    { host: 'h', epoch: 'e' },
    {
      facts: [{ taskId: id, number: 1, state: 'backing-off', reason: null, runAt: at + 60_000, startedAt: at, finishedAt: at }],
      starts: [],
      ends: [{ taskId: id, number: 1, end: end }],
    },
  )
  const line = (await run(env, 'status')).stdout.split('\n').find(one => one.includes('test/plain'))
  assert.match(
    line ?? '',
    /backing-off .*connect ECONNREFUSED 127\.0\.0\.1:5433 The connection was refused: nothing listens at 127\.0\.0\.1:5433\./,
  )

  const other = await background.addTask('test/plain', {}, 'FOREVER')
  for (const n of [1, 2, 3])
    await saveLoops(
      db,
      { host: 'h', epoch: 'e' },
      {
        facts: [{ taskId: id, number: n + 1, state: 'running', reason: null, runAt: at, startedAt: at, finishedAt: at }],
        starts: [],
        ends: [{ taskId: id, number: n, end: { ...end, iterations: null, peakMemoryBytes: null, cpuMs: null } }],
      },
    )
  const keeps = /running .*It keeps ending badly: 3 times within the last hour, the last time .*nothing listens at 127\.0\.0\.1:5433\./
  const lines = (await run(env, 'status')).stdout.split('\n').filter(one => one.includes('test/plain'))
  assert.match(lines[0] ?? '', keeps)
  assert.match(lines[1] ?? '', new RegExp(`^ *${other.id} `))
  assert.match((await run(env, 'show', String(id))).stdout, /It keeps ending badly: 3 times within the last hour/)
})
