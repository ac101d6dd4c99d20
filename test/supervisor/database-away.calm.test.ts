import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { assertEachCounted } from '../helpers/counted-runs.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { makeScene, overlaps, type Scene, until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'

const skip = mariadbMissing()
const awayMs = 20_000

const beatsSince = (scene: Scene, from: bigint) => scene.witnessed().filter(sign => sign.what === 'beat' && sign.at > from)

// Each has a server of its own and waits for it most of the time.
describe('while the database is away', { concurrency: true, skip }, () => {
  for (const way of ['killed', 'stopped'] as const) {
    test(`MariaDB is ${way} for ${awayMs / 1000} s: loops go on and are restarted, ends wait, all is recorded within 10 s of its return`, {
      skip,
      timeout: 120_000,
    }, async t => {
      const server = await startMariaDb()
      t.after(() => server.stop())
      const scene = await makeScene(t, { databaseUrl: await server.newDatabase() })
      const { background, witness } = scene
      const supervisor = await scene.supervise()
      const loops = await Promise.all(
        [1, 2, 3].map(async () => (await background.addTask('test/witness-loop', { witness, intervalMs: 50 }, 'FOREVER')).id),
      )
      const once = await background.addTask('test/witness-once', { witness, ms: 6_000 })
      for (const id of [...loops, once.id]) await scene.untilState(id, 'running')
      await until('the task has begun', () => scene.witnessed().some(sign => sign.taskId === once.id))

      if (way === 'killed') await server.kill()
      else await server.pause()
      const since = process.hrtime.bigint()
      const back = performance.now() + awayMs
      await until('the supervisor says since when', () => readSupervisor(scene.runtime)?.databaseAwaySince, 15_000)
      const victim = await until('a loop to kill', () => scene.marked().find(({ mark }) => mark.includes(`/${loops[0]}-1/`))?.pid)
      process.kill(victim, 'SIGKILL')
      await until('it is up again from memory', () => scene.witnessed().some(sign => sign.taskId === loops[0] && sign.number === 2), 5_000)
      await until('the task has ended', () => scene.witnessed().some(sign => sign.taskId === once.id && sign.what === 'end'), awayMs)
      await delay(Math.max(0, back - performance.now()))
      for (const id of loops) assert.ok(beatsSince(scene, since).filter(sign => sign.taskId === id).length > 50, `loop ${id} went on`)

      if (way === 'killed') await server.restart()
      else server.resume()
      const returned = performance.now()
      await until(
        'the end of the task is recorded',
        async () => (await scene.task(once.id).catch(() => null))?.state === 'succeeded',
        10_000,
      )
      await until(
        'the restart is recorded',
        async () => (await scene.task(loops[0]!)).number === 2,
        Math.max(1, 10_000 - (performance.now() - returned)),
      )
      const first = (await scene.runs(loops[0]!)).find(run => run.number === 1)!
      assert.equal(first.outcome, 'killed')
      await until('the supervisor knows that it is back', () => readSupervisor(scene.runtime)?.databaseAwaySince === null)
      for (const id of loops.slice(1)) assert.equal((await scene.task(id)).number, 1, 'the others were not touched')
      assert.deepEqual(overlaps(scene.witnessed()), [])
      assert.equal(await supervisor.stop(), 0)
      await assertEachCounted(background.db)
    })
  }

  test('a supervisor that starts while the database is away adopts what lives, and records it all when it is back', {
    skip,
    timeout: 90_000,
  }, async t => {
    const server = await startMariaDb()
    t.after(() => server.stop())
    const scene = await makeScene(t, { databaseUrl: await server.newDatabase() })
    const { background, witness } = scene
    let supervisor = await scene.supervise()
    const loop = await background.addTask('test/witness-loop', { witness }, 'FOREVER')
    const once = await background.addTask('test/witness-once', { witness, ms: 3_000 })
    for (const { id } of [loop, once]) await scene.untilState(id, 'running')
    await until('the task has begun', () => scene.witnessed().some(sign => sign.taskId === once.id))
    await server.kill()
    await supervisor.kill()
    supervisor = await scene.supervise()
    await until('the task has ended', () => scene.witnessed().some(sign => sign.taskId === once.id && sign.what === 'end'))
    const pid = await until('the loop lives', () => scene.marked().find(({ mark }) => mark.includes(`/${loop.id}-1/`))?.pid)
    process.kill(pid, 'SIGKILL')
    await until(
      'it is started again from its ticket',
      () => scene.witnessed().some(sign => sign.taskId === loop.id && sign.number === 2),
      5_000,
    )
    await server.restart()
    await until(
      'all is recorded',
      async () => (await scene.task(once.id).catch(() => null))?.state === 'succeeded' && (await scene.task(loop.id)).number === 2,
      10_000,
    )
    await supervisor.stop()
  })

  test('a read-only database stops nothing that runs', { skip, timeout: 60_000 }, async t => {
    const server = await startMariaDb()
    t.after(() => server.stop())
    const scene = await makeScene(t, { databaseUrl: await server.newDatabase() })
    const supervisor = await scene.supervise()
    const once = await scene.background.addTask('test/witness-once', { witness: scene.witness, ms: 1_500 })
    await scene.untilState(once.id, 'running')
    await server.setReadOnly(true)
    await until('it has ended', () => scene.witnessed().some(sign => sign.what === 'end'))
    await until('the supervisor says so', () => readSupervisor(scene.runtime)?.databaseAwaySince)
    await server.setReadOnly(false)
    await scene.untilState(once.id, 'succeeded', 10_000)
    await supervisor.stop()
  })
})
