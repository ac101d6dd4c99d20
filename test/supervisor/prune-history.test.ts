import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRuns } from '../../app/runs/open-runs.ts'
import { type Ticket, writeTicket } from '../../app/runs/ticket.ts'
import { claimTask } from '../../app/store/claim-task.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { findTask } from '../../app/store/find-task.ts'
import { saveLoops } from '../../app/store/save-loops.ts'
import { pruneHistory } from '../../app/supervisor/prune-history.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { makeScene } from '../helpers/scene.ts'

const day = 86_400_000
const owner = { host: 'here', epoch: 'now' }
const silent = { info: () => {}, warn: () => {} }

test('old runs and tasks go, the last runs of a loop and what is still open stay', async t => {
  const scene = await makeScene(t)
  const { background, runtime } = scene
  const { db } = background
  const folder = (name: string, execType: 'ONCE' | 'FOREVER', ageDays: number) => {
    const path = join(runtime, 'runs', name)
    mkdirSync(path, { recursive: true })
    writeTicket(path, { execType } as Ticket)
    const at = (Date.now() - ageDays * day) / 1000
    utimesSync(path, at, at)
    return path
  }
  const end = (endedAt: number) =>
    ({
      kind: 'succeeded',
      content: null,
      error: null,
      exitCode: 0,
      signal: null,
      endedAt,
      iterations: null,
      peakMemoryBytes: null,
      cpuMs: null,
    }) as const

  const loop = await background.addTask('test/forever', {}, 'FOREVER')
  for (let number = 1; number <= 30; number++) {
    folder(`${loop.id}-${number}`, 'FOREVER', 30)
    const startedAt = Date.now() - 30 * day + number
    await saveLoops(db, owner, {
      facts: [{ taskId: loop.id, number, state: 'running', reason: null, runAt: startedAt, startedAt, finishedAt: null }],
      starts: [],
      ends: [{ taskId: loop.id, number, end: end(startedAt + 1) }],
    })
  }
  const ended = async (endedAt: number) => {
    const task = (await claimTask(db, await background.addTask('test/ok'), owner, endedAt - 5))!
    await endOnce(db, task.id, task.number, end(endedAt), row => afterOnce(row, end(endedAt), endedAt, 0))
    return task.id
  }
  const old = await ended(Date.now() - 8 * day)
  const young = await ended(Date.now() - 6 * day)
  const waiting = await background.addTask('test/ok')
  const oldFolder = folder(`${old}-1`, 'ONCE', 8)
  const youngFolder = folder(`${young}-1`, 'ONCE', 6)
  const openFolder = folder(`${waiting.id}-1`, 'ONCE', 8)
  openRuns(runtime).add(`${waiting.id}-1`)

  await pruneHistory({ runtime, keepRuns: 2, keepDays: 7 }, db, silent)

  assert.deepEqual(
    readdirSync(join(runtime, 'runs'))
      .filter(name => name.startsWith(`${loop.id}-`))
      .sort(),
    [`${loop.id}-29`, `${loop.id}-30`],
  )
  assert.deepEqual([oldFolder, youngFolder, openFolder].map(existsSync), [false, true, true])
  assert.equal(await findTask(db, old), null)
  assert.notEqual(await findTask(db, young), null)
  assert.notEqual(await findTask(db, waiting.id), null)
  const numbers = (await scene.runs(loop.id)).map(run => run.number)
  assert.deepEqual(
    numbers,
    Array.from({ length: 20 }, (_, index) => 30 - index),
    'ten times as many rows',
  )
})
