import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancelTask, cloneTask, deleteTask, restartTask, retryTask, runTaskNow, startTask, stopTask } from '../../app/api/control.ts'
import { BgtaskError } from '../../app/errors.ts'
import { findTask } from '../../app/store/find-task.ts'
import { openScene } from './scene.ts'

const codeIs = (code: BgtaskError['code'], sentence: RegExp) => (error: unknown) =>
  error instanceof BgtaskError && error.code === code && sentence.test(error.message)

test('a ONCE task: now, cancelled, again, cloned, deleted', async t => {
  const { background } = await openScene(t)
  const { id } = await background.addTask('test/plain', { n: 1 }, { delayMs: 60_000, type: 'x', unique: 'only', priority: 3 })
  assert.ok((await runTaskNow(background, id, 'kim')).runAt <= Date.now())
  await assert.rejects(
    retryTask(background, id, 'kim'),
    codeIs('busy', /Task 1 is waiting; only a succeeded, failed or cancelled one can be retried/),
  )
  await assert.rejects(deleteTask(background, id), codeIs('busy', /Cancel or stop it first/))
  assert.equal((await cancelTask(background, id, 'kim')).state, 'cancelled')
  await assert.rejects(cancelTask(background, id, 'kim'), codeIs('busy', /is cancelled; only a waiting or running one/))
  await assert.rejects(runTaskNow(background, id, 'kim'), codeIs('busy', /Retry it instead/))
  assert.equal((await retryTask(background, id, 'kim')).state, 'waiting')
  const clone = await cloneTask(background, id, 'kim', { params: { n: 2 } })
  assert.deepEqual([clone.params, clone.type, clone.priority, clone.uniqueKey], [{ n: 2 }, 'x', 3, null])
  await cancelTask(background, clone.id, 'kim')
  await deleteTask(background, clone.id)
  assert.equal(await findTask(background.db, clone.id), null)
  for (const act of [startTask, stopTask, restartTask]) await assert.rejects(act(background, id, 'kim'), codeIs('busy', /is a ONCE task/))
  for (const act of [startTask, cancelTask, retryTask, runTaskNow, cloneTask]) {
    await assert.rejects(act(background, 99, 'kim'), codeIs('not-found', /^Task 99 does not exist\.$/))
  }
  await assert.rejects(deleteTask(background, 99), codeIs('not-found', /Task 99/))
})

test('a loop: down, up, a fresh process', async t => {
  const { background } = await openScene(t)
  const { id } = await background.addTask('test/plain', {}, 'FOREVER')
  assert.equal((await stopTask(background, id, 'kim')).wanted, 'down')
  assert.equal((await startTask(background, id, 'kim')).wanted, 'up')
  assert.equal((await restartTask(background, id, 'kim')).wish, 1)
  assert.equal((await retryTask(background, id, 'kim')).wish, 2)
  assert.equal((await runTaskNow(background, id, 'kim')).wish, 3)
  assert.equal((await cancelTask(background, id, 'kim')).wanted, 'down')
})
