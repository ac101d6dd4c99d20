import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { identify, isAlive } from '../../app/runs/process-identity.ts'
import { cancelTask, wishDown, wishFresh } from '../../app/store/wishes.ts'
import { makeScene, type Scene, type Supervising, until } from '../helpers/scene.ts'

describe('what a child may do', () => {
  let scene: Scene
  let supervisor: Supervising
  const cleanUp: (() => unknown)[] = []
  const crashing: number[] = []
  before(async () => {
    // The variable of its own is what no run may see.
    scene = await makeScene({ after: (work: () => unknown) => cleanUp.push(work) } as never, { env: { SHOP_PASSWORD: 'qq7kangaroo9' } })
    supervisor = await scene.supervise()
    // It takes half a minute until they are given up: all other tests run meanwhile.
    for (const action of ['crashes-at-once', 'crashes-after-1200ms']) crashing.push((await add(action, {}, { execType: 'FOREVER' })).id)
  })
  after(async () => {
    for (const work of cleanUp) await work()
  })
  const add = (action: string, params: object = {}, options: object = {}) => scene.background.addTask(`test/${action}`, params, options)
  const pidOf = (id: number) =>
    until(`task ${id} has a process`, () => scene.marked().find(({ mark }) => mark.split('/')[1]!.startsWith(`${id}-`))?.pid)

  test('a loop that is killed is up again at once, and its run says by what it ended', async () => {
    const { id } = await add('forever', {}, { execType: 'FOREVER' })
    await scene.untilState(id, 'running')
    process.kill(await pidOf(id), 'SIGKILL')
    await until('the second run', async () => (await scene.task(id)).number === 2)
    await scene.untilState(id, 'running')
    const first = (await scene.runs(id)).find(run => run.number === 1)!
    assert.deepEqual([first.outcome, first.signal], ['killed', 'SIGKILL'])
    await wishDown(scene.background.db, id, 'olga', Date.now())
    ring(scene.runtime)
    const stopped = await scene.untilState(id, 'stopped')
    assert.deepEqual([stopped.reason?.code, stopped.reason?.by], ['stopped-by-wish', 'olga'])
  })

  test('a run has an environment of named variables, its own group, a lower priority, and a sentence for its end', async () => {
    const { id } = await add('hangs')
    const pid = await pidOf(id)
    const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .filter(Boolean)
      .map(entry => entry.split('=')[0])
    const known = [
      'PATH',
      'HOME',
      'LANG',
      'TZ',
      'NODE_ENV',
      'BGTASK_RUNTIME',
      'BGTASK_MODULES',
      'BGTASK_ACTIONS',
      'BGTASK_RUN',
      'BGTASK_RUN_FOLDER',
      'BGTASK_READY_FD',
    ]
    assert.deepEqual(
      names.filter(name => !known.includes(name!)),
      [],
    )
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    assert.equal(Number(fields[2]), pid, 'it leads its own process group')
    // The supervisor lowers it as soon as it knows of it, which may be after it was seen here.
    await until('it is nicer than the supervisor', () => getPriority(pid) > getPriority(supervisor.info.pid))
    await cancelTask(scene.background.db, id, 'test', Date.now())
    ring(scene.runtime)
    await scene.untilState(id, 'cancelled', 20_000)
  })

  test('a task that leaves without an outcome is run three times, then failed', { timeout: 60_000 }, async () => {
    const { id } = await add('exits-3')
    const task = await scene.untilState(id, 'failed', 30_000)
    assert.equal(task.reason?.code, 'crashed-for-good')
    const runs = await scene.runs(id)
    assert.deepEqual(
      runs.map(run => [run.outcome, run.exitCode]),
      [
        ['exited', 3],
        ['exited', 3],
        ['exited', 3],
      ],
    )
    const once = await add('exits-0', {}, { rerunAfterCrash: false })
    await scene.untilState(once.id, 'failed')
    assert.equal((await scene.runs(once.id)).length, 1)
  })

  test('exit code 78 trips a loop at once, and a fresh wish tries it again', async () => {
    const { id } = await add('exits-78', {}, { execType: 'FOREVER' })
    const tripped = await scene.untilState(id, 'tripped')
    assert.deepEqual([tripped.reason?.code, tripped.number], ['misconfigured', 1])
    await wishFresh(scene.background.db, id, 'test', Date.now())
    ring(scene.runtime)
    await until('the second run', async () => (await scene.task(id)).number === 2)
    await wishDown(scene.background.db, id, 'test', Date.now())
  })

  for (const action of ['ignores-sigterm', 'escaped-grandchild', 'blocks-event-loop']) {
    test(`${action}: nothing of it lives 2 s after its grace`, async () => {
      const { id } = await add(action, {}, { graceMs: 500 })
      await scene.untilState(id, 'running')
      await pidOf(id)
      await until('it says that it is there', () => outputOf(id, 1) !== '')
      const asked = performance.now()
      await cancelTask(scene.background.db, id, 'test', Date.now())
      ring(scene.runtime)
      await scene.untilState(id, 'cancelled')
      await until('all of it is gone', () => scene.marked().every(({ mark }) => !mark.split('/')[1]!.startsWith(`${id}-`)))
      assert.ok(performance.now() - asked < 500 + 2_000, `it took ${Math.round(performance.now() - asked)} ms`)
      assert.equal((await scene.runs(id))[0]!.outcome, 'cancelled')
    })
  }

  test('a run that was stopped by SIGSTOP can still be ended in good order', async () => {
    const { id } = await add('witness-loop', { witness: join(scene.runtime, 'stopped') }, { execType: 'FOREVER', graceMs: 5_000 })
    await scene.untilState(id, 'running')
    const pid = await pidOf(id)
    process.kill(pid, 'SIGSTOP')
    await wishDown(scene.background.db, id, 'test', Date.now())
    ring(scene.runtime)
    await scene.untilState(id, 'stopped', 4_000)
    assert.match(readFileSync(join(scene.runtime, 'stopped'), 'utf8'), /^end /m)
  })

  test('a run beyond its timeout is stopped and counted as a failed try', async () => {
    const { id } = await add('hangs', {}, { timeoutMs: 1_000, graceMs: 500 })
    const task = await scene.untilState(id, 'failed')
    assert.equal((await scene.runs(id))[0]!.outcome, 'timed-out')
    assert.equal(task.attempt, 1)
  })

  test('running out of memory is called by its name', { timeout: 60_000 }, async t => {
    const small = await makeScene(t, { env: { NODE_OPTIONS: '--max-old-space-size=96', BGTASK_CHILD_ENV: 'NODE_OPTIONS' } })
    const ending = await small.supervise()
    const { id } = await small.background.addTask('test/exhausts-heap', {}, { rerunAfterCrash: false })
    await small.untilState(id, 'failed', 45_000)
    assert.equal((await small.runs(id))[0]!.outcome, 'out-of-memory')
    await ending.stop()
  })

  test('peak memory and CPU time of a killed run are known', { timeout: 30_000 }, async () => {
    const { id } = await add('blocks-event-loop', {}, { rerunAfterCrash: false })
    const pid = await pidOf(id)
    const identity = identify(pid)!
    await until('it has worked for a while and was measured', async () => {
      const run = (await scene.runs(id))[0]
      return run && Date.now() - run.startedAt > 6_000
    })
    process.kill(pid, 'SIGKILL')
    await scene.untilState(id, 'failed')
    assert.equal(isAlive(identity), false)
    const run = (await scene.runs(id))[0]!
    assert.ok(run.peakMemoryBytes! > 10_000_000 && run.cpuMs! > 100, JSON.stringify(run))
  })

  test('a crash loop is slowed and tripped, whether it crashes at once or after 1.2 s', { timeout: 120_000 }, async () => {
    for (const id of crashing) {
      const task = await scene.untilState(id, 'tripped', 100_000)
      assert.ok(task.number <= 7, `${task.number} starts`)
      const { at, until: probeAt } = task.reason!
      assert.ok(probeAt! > at + 200_000, 'a probe is planned')
    }
  })

  const outputOf = (id: number, number: number) => readFileSync(join(scene.runtime, 'runs', `${id}-${number}`, 'output.log'), 'utf8')

  test('after the stop nothing is alive', async () => {
    assert.equal(await supervisor.stop(), 0)
    assert.deepEqual(scene.marked(), [])
  })
})
