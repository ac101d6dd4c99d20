import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readTicket } from '../../app/runs/ticket.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { makeScene } from '../helpers/scene.ts'
import { newTask } from '../store/new-task.ts'

// Its file takes longer to look at than the supervisor waits for that.
const slowToLoad = `import { defineAction, execForeverInterval } from 'bgtask'
await new Promise(resolve => setTimeout(resolve, 2_000))
export default defineAction({ stallMs: 1_000, execute: () => execForeverInterval(() => new Promise(() => setInterval(() => {}, 1_000)), 50) })
`

test('a loop that begins before its file was described is watched for stalls all the same', { timeout: 60_000 }, async t => {
  const actions = mkdtempSync(join(tmpdir(), 'bgtask-actions-'))
  t.after(() => rmSync(actions, { recursive: true, force: true }))
  mkdirSync(join(actions, 'late'))
  writeFileSync(join(actions, 'late', 'poll.ts'), slowToLoad)
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: actions } })
  const [added] = await insertTasks(scene.background.db, [
    newTask({ action: 'late/poll', execType: 'FOREVER', runAt: Date.now(), graceMs: 1_000 }),
  ])
  const { id } = added!.task
  const supervisor = await scene.supervise()
  const task = await scene.untilState(id, 'stalled', 30_000)
  assert.deepEqual([task.number, task.reason?.detail], [1, 'waiting'])
  const ticket = readTicket(runtimePaths(scene.runtime).run(`${id}-1`).folder)!
  assert.equal(ticket.stallMs, 1_000, 'whoever adopts it knows it too')
  assert.ok(ticket.process)
  assert.equal(await supervisor.stop(), 0)
})
