import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { checkInstallation } from '../../app/api/check.ts'
import { identify } from '../../app/runs/process-identity.ts'
import { removeSupervisor, type SupervisorInfo, writeSupervisor } from '../../app/runs/supervisor-file.ts'
import { openScene } from '../api/scene.ts'
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
