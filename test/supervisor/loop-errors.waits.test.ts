import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBeat } from '../../app/runs/beat.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { listLoopErrors } from '../../app/store/loop-errors.ts'
import { wishDown } from '../../app/store/wishes.ts'
import { makeScene, until } from '../helpers/scene.ts'

test('what iterations threw is kept: of a loop that goes on, of one that is gone, and across supervisors', {
  timeout: 240_000,
}, async t => {
  const scene = await makeScene(t)
  const first = await scene.supervise()
  const add = (params: object) => scene.background.addTask('test/throws-now-and-then', { onError: 'continue', ...params }, 'FOREVER')
  const steady = await add({ password: 'third time' })
  const ended = await add({})
  const dying = await scene.background.addTask('test/throws-now-and-then', {}, 'FOREVER')
  const errorsOf = (id: number) => listLoopErrors(scene.background.db, id, 9)
  const beatOf = (id: number) => readBeat(runtimePaths(scene.runtime).run(`${id}-1`).beat)
  await until('both throw', () => (beatOf(steady.id)?.errors ?? 0) > 3 && (beatOf(ended.id)?.errors ?? 0) > 3)

  // A life that ends by a throw is there at once.
  const [life] = await until('a life has ended', async () => {
    const found = await errorsOf(dying.id)
    return found.length > 0 && found
  })
  assert.deepEqual([life!.sample, life!.isPrinted], ['third time', true])

  await wishDown(scene.background.db, ended.id, 'test', Date.now())
  await scene.untilState(ended.id, 'stopped')
  // All of them, once: the beat at its end has the figure. What it threw before the end of another minute may have been told by itself.
  const { errors } = beatOf(ended.id)!
  const told = await until(
    'the minute is over',
    async () => {
      const [found] = await errorsOf(ended.id)
      return found && found.count >= errors && found
    },
    90_000,
  )
  assert.deepEqual([told.sample, told.count, told.lastNumber], ['third time', errors, 1])

  const before = await until('the steady one is told of', async () => (await errorsOf(steady.id))[0], 90_000)
  // What is a secret of its params is stored nowhere.
  assert.equal(before.sample, '[redacted]')
  await first.kill()
  await scene.supervise()
  const after = await until(
    'the next supervisor goes on counting',
    async () => {
      const [found] = await errorsOf(steady.id)
      return found!.count > before.count && found
    },
    100_000,
  )
  assert.ok(after.count <= beatOf(steady.id)!.errors, `${after.count} of ${beatOf(steady.id)!.errors} are counted, none twice`)
})
