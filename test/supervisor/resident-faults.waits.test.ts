import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { presentFinal } from '../../app/store/counters.ts'
import { isFinal } from '../../app/task/task.ts'
import { assertEachCounted } from '../helpers/counted-runs.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { makeScene, type Scene, type Supervising, until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { dialects } from '../store/dialects.ts'
import { residentsOf } from './residents-of.ts'

for (const dialect of dialects) {
  describe(`resident runners come to harm, on ${dialect.name}`, { skip: dialect.skip }, () => {
    let scene: Scene
    let supervisor: Supervising
    const cleanUp: (() => unknown)[] = []
    before(async () => {
      scene = await makeScene({ after: (work: () => unknown) => cleanUp.push(work) } as never, { databaseUrl: await dialect.newUrl() })
      supervisor = await scene.supervise()
    })
    after(async () => {
      for (const work of cleanUp) await work()
    })
    const { add, addMany, begun, cancel, ended, handedOver, lastRun, pidOf, witness, witnessed } = residentsOf(() => scene)

    test('kill -9 of the process: what it had begun has crashed and is run again, what it had not is not counted', {
      timeout: 60_000,
    }, async () => {
      const ids = await addMany(
        'three',
        Array.from({ length: 8 }, () => ({ do: 'wait', ms: 400, witness: witness() })),
      )
      const pid = await pidOf(ids[0]!)
      await until('three are begun', () => witnessed().filter(line => ids.some(id => line.startsWith(`begin ${id} `))).length >= 3)
      process.kill(pid, 'SIGKILL')
      for (const id of ids) assert.equal((await ended(id)).state, 'succeeded')
      const all = await Promise.all(ids.map(id => scene.runs(id)))
      const crashed = all.flat().filter(run => run.outcome === 'killed')
      assert.ok(crashed.length >= 1 && crashed.length <= 3, `${crashed.length} crashed`)
      assert.ok(crashed.every(run => run.pid === pid && run.signal === 'SIGKILL'))
      const others = all.flat().filter(run => run.outcome !== 'killed' && run.outcome !== 'succeeded')
      assert.ok(others.every(run => run.outcome === 'interrupted'))
      for (const [index, id] of ids.entries()) assert.equal(all[index]!.filter(run => run.outcome === 'succeeded').length, 1, `task ${id}`)
    })

    test('kill -9 while tasks wait their turn in the process: those are given back, which is no crash and no try, and are run once', {
      timeout: 60_000,
    }, async () => {
      // Quick ones first, so that many are handed over ahead of their turn. A crash would be the end of those behind.
      const [blocker, ...behind] = (
        await scene.background.addTasks([
          ...Array.from({ length: 400 }, () => ({ action: 'test/resident/one' })),
          { action: 'test/resident/one', params: { do: 'wait for the signal', witness: witness() }, options: { rerunAfterCrash: false } },
          ...Array.from({ length: 20 }, () => ({
            action: 'test/resident/one',
            params: { witness: witness() },
            options: { rerunAfterCrash: false },
          })),
        ] as never)
      )
        .slice(400)
        .map(({ id }) => id)
      const pid = await pidOf(blocker!)
      const handed = () => behind.filter(id => handedOver().includes(`"id":${id},`))
      await until('some wait their turn in it', () => handed().length > 0, 30_000)
      const waiting = handed()
      process.kill(pid, 'SIGKILL')
      assert.equal((await ended(blocker!)).reason?.code, 'crashed-for-good')
      for (const id of behind) {
        const task = await ended(id)
        assert.deepEqual([task.state, task.crashCount, task.attempt], ['succeeded', 0, 0], `task ${id}`)
        const outcomes = (await scene.runs(id)).map(run => run.outcome)
        // More may have been handed over since we looked.
        assert.match(outcomes.join(), waiting.includes(id) ? /^succeeded,interrupted$/ : /^succeeded(,interrupted)?$/, `task ${id}`)
        assert.equal(witnessed().filter(line => line.startsWith(`begin ${id} `)).length, 1)
      }
    })

    test('an error that nobody catches fails the task that it belongs to; the others end well, the process is replaced', async () => {
      const [bad, good, other] = await addMany('three', [
        { do: 'throw later', text: 'late', ms: 30 },
        { do: 'wait', ms: 300, witness: witness() },
        { do: 'wait', ms: 300 },
      ])
      assert.deepEqual([(await ended(bad!)).state, (await ended(bad!)).content], ['failed', 'late'])
      for (const id of [good!, other!]) {
        assert.equal((await ended(id)).state, 'succeeded')
        assert.equal((await scene.runs(id)).length, 1)
      }
      const next = await add('three')
      await ended(next)
      assert.notEqual((await lastRun(next)).pid, (await lastRun(bad!)).pid)
    })

    test('process.exit in one of several: that one has exited, the others are interrupted and run again', async () => {
      const [bad, good] = await Promise.all([
        add('three', { do: 'leave the process', ms: 300 }, { rerunAfterCrash: false }),
        add('three', { do: 'wait', ms: 800 }),
      ])
      assert.equal((await ended(bad)).reason?.code, 'crashed-for-good')
      assert.deepEqual([(await lastRun(bad)).outcome, (await lastRun(bad)).exitCode], ['exited', 7])
      const task = await ended(good)
      assert.deepEqual([task.state, task.attempt, task.crashCount], ['succeeded', 0, 0])
      assert.ok((await scene.runs(good)).every(run => run.outcome === 'interrupted' || run.outcome === 'succeeded'))
    })

    test('an endless loop ends by its timeout with its process; those that waited behind it are not counted', async () => {
      const bad = await add('one', { do: 'spin', witness: witness() }, { timeoutMs: 300, graceMs: 200 })
      await begun(bad)
      const behind = await add('one', { do: 'say', text: 'after' })
      const task = await ended(bad)
      assert.deepEqual([task.state, (await lastRun(bad)).outcome], ['failed', 'timed-out'])
      assert.match((await lastRun(bad)).error!, /did not end within 200 ms/)
      const after = await ended(behind)
      assert.deepEqual([after.state, after.crashCount, after.attempt], ['succeeded', 0, 0])
    })

    test('cancel: one that listens ends alone; one that does not takes its process with it, and the others are run again', async () => {
      const [listens, stays] = await Promise.all([
        add('three', { do: 'wait for the signal', witness: witness() }),
        add('three', { do: 'wait', ms: 1_500, witness: witness() }),
      ])
      const pid = await pidOf(listens)
      await begun(stays)
      await cancel(listens)
      assert.deepEqual([(await ended(listens)).state, (await lastRun(listens)).outcome], ['cancelled', 'cancelled'])
      assert.equal((await ended(stays)).state, 'succeeded')
      assert.equal((await lastRun(stays)).pid, pid)

      const go = join(scene.runtime, 'go-beside-the-deaf')
      const [deaf, neighbour] = await Promise.all([
        add('three', { do: 'never end', witness: witness() }, { graceMs: 100 }),
        add('three', { do: 'watch the event loop', text: go, witness: witness() }),
      ])
      await begun(deaf)
      await begun(neighbour)
      await cancel(deaf)
      assert.equal((await ended(deaf)).state, 'cancelled')
      writeFileSync(go, '')
      const task = await ended(neighbour)
      assert.deepEqual([task.state, task.attempt, task.crashCount], ['succeeded', 0, 0])
      assert.deepEqual(
        (await scene.runs(neighbour)).map(run => run.outcome),
        ['succeeded', 'interrupted'],
      )
    })

    test('kill -9 of the supervisor: what the process holds is adopted, and its rows say so', { timeout: 60_000 }, async () => {
      const go = join(scene.runtime, 'go-when-adopted')
      const [long, listens] = await addMany('three', [
        { do: 'watch the event loop', text: go, witness: witness() },
        { do: 'wait for the signal', witness: witness() },
      ])
      const pid = await pidOf(long!)
      await begun(listens!)
      const { epoch } = supervisor.info
      await supervisor.kill()
      supervisor = await scene.supervise()
      for (const id of [long!, listens!]) {
        await until(`the row of task ${id} says so`, async () => (await scene.task(id)).reason?.code === 'adopted')
        const task = await scene.task(id)
        assert.deepEqual([task.state, task.number, task.epoch], ['running', 1, supervisor.info.epoch])
        assert.notEqual(task.epoch, epoch)
        assert.deepEqual([(await lastRun(id)).adopted, (await lastRun(id)).pid], [true, pid])
      }
      await cancel(listens!)
      assert.equal((await ended(listens!)).state, 'cancelled')
      writeFileSync(go, '')
      assert.equal((await ended(long!)).state, 'succeeded')
      for (const id of [long!, listens!]) {
        assert.equal((await scene.runs(id)).length, 1)
        assert.equal((await lastRun(id)).adopted, true)
        assert.equal(witnessed().filter(line => line.startsWith(`begin ${id} `)).length, 1)
      }
    })

    test('kill -9 of the supervisor: the process goes on with what it holds, the next one adopts it; nothing is lost or done twice', {
      timeout: 120_000,
    }, async () => {
      const file = join(scene.runtime, 'killed-witness')
      const ids: number[] = []
      for (let kill = 0; kill < 3; kill++) {
        ids.push(
          ...(await addMany(
            'three',
            Array.from({ length: 300 }, (_, n) => ({ do: n % 50 ? 'nothing' : 'wait', ms: 20, witness: file })),
          )),
        )
        const seen = kill * 300 + 20 + 40 * kill
        await until('some are done', () => existsSync(file) && readFileSync(file, 'utf8').split('\n').length > seen)
        await supervisor.kill()
        supervisor = await scene.supervise()
      }
      await until(
        'all have ended',
        async () => {
          for (const id of ids.slice(-50)) if (!isFinal((await scene.task(id)).state)) return false
          return true
        },
        60_000,
      )
      for (const id of ids) {
        const task = await ended(id)
        assert.equal(task.state, 'succeeded')
        const runs = await scene.runs(id)
        assert.equal(runs.filter(run => run.outcome === 'succeeded').length, 1)
        assert.ok(
          runs.every(run => run.outcome === 'succeeded' || run.outcome === 'interrupted'),
          JSON.stringify(runs),
        )
      }
      const begins = readFileSync(file, 'utf8')
        .split('\n')
        .filter(line => line.startsWith('begin '))
        .map(line => line.split(' ')[1])
      assert.equal(begins.length, ids.length, 'each was begun once')
      assert.equal(new Set(begins).size, ids.length)
    })

    test('both are killed: what had ended is recorded, what had begun has crashed, the rest is run', { timeout: 60_000 }, async () => {
      const file = join(scene.runtime, 'both-witness')
      const ids = await addMany(
        'one',
        Array.from({ length: 12 }, (_, n) => ({ do: 'wait', ms: n < 4 ? 1 : 150, witness: file })),
      )
      await until(
        'some are done',
        () =>
          existsSync(file) &&
          readFileSync(file, 'utf8')
            .split('\n')
            .filter(line => line.startsWith('end')).length >= 5,
      )
      await supervisor.kill()
      const pid = Number(readFileSync(file, 'utf8').split('\n')[0]!.split(' ')[3])
      process.kill(pid, 'SIGKILL')
      supervisor = await scene.supervise()
      for (const id of ids) assert.equal((await ended(id)).state, 'succeeded')
      const ends = readFileSync(file, 'utf8')
        .split('\n')
        .filter(line => line.startsWith('end'))
      const crashed = (await Promise.all(ids.map(id => scene.runs(id))))
        .flat()
        .filter(run => run.outcome === 'lost' || run.outcome === 'killed')
      assert.ok(crashed.length <= 1, `${crashed.length} crashed`)
      // One may have ended its work a moment before it could say so.
      assert.ok(ends.length - new Set(ends.map(line => line.split(' ')[1])).size <= crashed.length)
    })

    test('stop: what it has begun is interrupted and will be run again, and nothing is left alive', async () => {
      const [listens, deaf] = await Promise.all([
        add('three', { do: 'wait for the signal', witness: witness() }),
        add('three', { do: 'never end', witness: witness() }, { graceMs: 300 }),
      ])
      await begun(listens)
      await begun(deaf)
      assert.equal(await supervisor.stop(), 0)
      for (const id of [listens, deaf]) {
        const task = await scene.task(id)
        assert.deepEqual([task.state, task.reason?.code, task.crashCount, task.attempt], ['waiting', 'interrupted', 0, 0])
      }
      assert.deepEqual(scene.marked(), [])
    })
  })
}

for (const way of ['killed', 'stopped'] as const) {
  test(`MariaDB is ${way} while residents work${way === 'killed' ? ', and the supervisor too' : ''}: each is begun once, each end is recorded once`, {
    skip: mariadbMissing(),
    timeout: 120_000,
  }, async t => {
    const server = await startMariaDb()
    t.after(() => server.stop())
    const scene = await makeScene(t, { databaseUrl: await server.newDatabase() })
    const { addMany, ended, lastRun, witness, witnessed } = residentsOf(() => scene)
    let supervisor = await scene.supervise()
    // Quick ones first, so that many are handed over ahead of their turn.
    const quick = await addMany(
      'three',
      Array.from({ length: 300 }, () => ({})),
    )
    for (const id of quick) await ended(id)
    const ids = await addMany(
      'three',
      Array.from({ length: 24 }, () => ({ do: 'wait', ms: 200, witness: witness() })),
    )
    const linesOf = (word: string) => witnessed().filter(line => line.startsWith(`${word} `))
    await until('the first have begun', () => linesOf('begin').length >= 3)

    if (way === 'killed') await server.kill()
    else await server.pause()
    await until('the supervisor says so', () => readSupervisor(scene.runtime)?.databaseAwaySince, 30_000)
    await until('all that were handed over have ended', () => readSupervisor(scene.runtime)?.running === 0, 30_000)
    const endedMeanwhile = linesOf('end').length
    assert.ok(endedMeanwhile >= 3, `${endedMeanwhile} ended meanwhile`)
    if (way === 'killed') {
      await supervisor.kill()
      supervisor = await scene.supervise()
      await server.restart()
    } else server.resume()

    for (const id of ids) {
      await until(`task ${id} has ended`, async () => isFinal((await scene.task(id).catch(() => null))?.state ?? 'waiting'), 30_000)
      assert.equal((await ended(id)).state, 'succeeded')
      const runs = await scene.runs(id)
      assert.equal(runs.filter(run => run.outcome === 'succeeded').length, 1)
      // A claim of which the answer was lost has never come to anybody's hands.
      assert.ok(
        runs.every(run => run.outcome === 'succeeded' || run.outcome === 'interrupted'),
        JSON.stringify(runs),
      )
      assert.equal((await scene.task(id)).number, (await lastRun(id)).number)
    }
    assert.deepEqual(
      linesOf('begin')
        .map(line => Number(line.split(' ')[1]))
        .sort((a, b) => a - b),
      ids,
    )
    assert.equal((await presentFinal(scene.background.db.kysely)).succeeded, quick.length + ids.length, 'counted once')
    assert.equal(await supervisor.stop(), 0)
    await assertEachCounted(scene.background.db)
  })
}
