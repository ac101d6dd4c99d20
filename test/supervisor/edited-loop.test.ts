import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restartTask } from '../../app/api/control.ts'
import { editTask, revertEdit } from '../../app/api/edit-task.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readTicket } from '../../app/runs/ticket.ts'
import { termsOf } from '../../app/task/edit.ts'
import { runName } from '../../app/task/run.ts'
import { makeScene, until } from '../helpers/scene.ts'

const actor = { name: 'kim', ip: null, via: 'form' } as const

test('a change takes effect as it was said: by a fresh process after the current iteration, or at the next start', async t => {
  const scene = await makeScene(t)
  const { background } = scene
  const { id } = await background.addTask('test/forever', { intervalMs: 100 }, 'FOREVER')
  await scene.supervise()
  const paramsOf = (number: number) => readTicket(runtimePaths(scene.runtime).run(runName(id, number)).folder)?.params
  const runs = (number: number) =>
    until(`run ${number} is up`, async () => {
      const task = await scene.task(id)
      return task.number === number && task.state === 'running' ? task : null
    })
  const first = await runs(1)
  await editTask(background, first, { ...termsOf(first), params: { intervalMs: 120 } }, { actor, effect: 'restart' })
  const second = await runs(2)
  assert.deepEqual([paramsOf(1), paramsOf(2)], [{ intervalMs: 100 }, { intervalMs: 120 }])
  assert.equal((await scene.runs(id)).find(({ number }) => number === 1)?.outcome, 'interrupted', 'no fault of the loop')

  await editTask(background, second, { ...termsOf(second), params: { intervalMs: 140 } }, { actor, effect: 'next' })
  const { pid } = (await scene.runs(id)).find(({ number }) => number === 2)!
  const later = await background.addTask('test/ok')
  await scene.untilState(later.id, 'succeeded')
  const [newest] = await scene.runs(id)
  assert.deepEqual([newest?.number, newest?.pid, newest?.endedAt], [2, pid, null], 'it goes on as it was')
  await restartTask(background, id, 'kim')
  const third = await runs(3)
  assert.deepEqual(paramsOf(3), { intervalMs: 140 })

  await revertEdit(background, third, 1, { actor, effect: 'restart' })
  await runs(4)
  assert.deepEqual(paramsOf(4), { intervalMs: 100 })
})
