import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readStat } from '../../app/runs/process-identity.ts'
import { listSamples } from '../../app/store/samples.ts'
import { wishDown } from '../../app/store/wishes.ts'
import { addDurations, type Durations, percentileMs } from '../../app/task/durations.ts'
import type { Sample } from '../../app/task/sample.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'

const minuteMs = 60_000

// Both wait for the end of the same minute.
describe('what loops did in a minute', { concurrency: true }, () => {
  for (const { name, skip, newUrl } of [
    { name: 'SQLite', skip: false as const, newUrl: async () => undefined },
    { name: 'MariaDB', skip: mariadbMissing(), newUrl: async () => (await sharedMariaDb()).newDatabase() },
  ]) {
    test(`is written when it is over, also by the next supervisor, and of runs that ended in it: ${name}`, {
      skip,
      timeout: 180_000,
    }, async t => {
      const databaseUrl = await newUrl()
      const scene = await makeScene(t, databaseUrl ? { databaseUrl } : {})
      const first = await scene.supervise()
      const add = (counted: string) =>
        scene.background.addTask('test/counted-loop', { counted: join(scene.runtime, counted) }, { execType: 'FOREVER' })
      const steady = await add('steady')
      const killed = await add('killed')
      for (const { id } of [steady, killed]) await scene.untilState(id, 'running')
      const counted = (file: string) => statSync(join(scene.runtime, file), { throwIfNoEntry: false })?.size ?? 0
      await until('both have done something', () => counted('steady') > 20 && counted('killed') > 20)
      // Its runner ends in the middle of the minute; the next one goes on.
      const { pid } = scene.marked().find(({ mark }) => mark.includes(`/${killed.id}-1/`))!
      process.kill(pid, 'SIGKILL')
      await until('it is up again', async () => (await scene.task(killed.id)).number === 2)
      await first.kill()
      const second = await scene.supervise()
      await scene.untilState(steady.id, 'running')
      const pidOfSteady = scene.marked().find(({ mark }) => mark.includes(`/${steady.id}-1/`))!.pid
      const ticks = () => readStat(pidOfSteady)!.cpuTicks
      const before = { steady: counted('steady'), killed: counted('killed'), ticks: ticks() }
      await until('both have gone on', () => counted('steady') > before.steady + 60 && counted('killed') > before.killed + 60)
      // Its clock ticks a hundred times a second, and it is looked at each second: how many iterations that takes is the machine's affair.
      await until('what it spends can be seen', () => ticks() > before.ticks + 10)
      await wishDown(scene.background.db, steady.id, 'test', Date.now())
      await scene.untilState(steady.id, 'stopped')
      const { finishedAt, updatedAt } = await scene.task(steady.id)
      const minute = Math.floor((finishedAt ?? updatedAt) / minuteMs) * minuteMs

      const samplesOf = (id: number) => listSamples(scene.background.db, id, minuteMs, 0)
      const samples = await until(
        'the minute is written',
        async () => {
          const found = await samplesOf(steady.id)
          return found.some(({ at }) => at >= minute) ? found : null
        },
        90_000,
      )
      const sum = (of: readonly Sample[], what: (sample: Sample) => number) => of.reduce((total, sample) => total + what(sample), 0)
      assert.equal(
        sum(samples, ({ iterations }) => iterations),
        counted('steady'),
      )
      assert.equal(
        sum(samples, ({ errors }) => errors),
        Math.floor(counted('steady') / 3),
      )
      const durations: Durations = {}
      for (const sample of samples) addDurations(durations, sample.durations)
      assert.equal(
        Object.values(durations).reduce((total, count) => total + count, 0),
        counted('steady'),
      )
      assert.ok(percentileMs(durations, 50)! < 50, 'it does nearly nothing')
      assert.ok(sum(samples, ({ cpuMs }) => cpuMs) > 0)
      assert.ok(sum(samples, ({ outputBytes }) => outputBytes) > 0)

      // Of a process that is killed, what it did in its last second was not told.
      const ofKilled = (await samplesOf(killed.id)).filter(({ at }) => at <= minute)
      assert.ok(ofKilled.some(({ iterations }) => iterations > 15))
      assert.ok(ofKilled.every(({ memoryBytes }) => memoryBytes === null || memoryBytes > 10_000_000))
      assert.ok(ofKilled.at(-1)!.memoryBytes! > 10_000_000, 'it lives at the end of the minute')
      assert.ok(sum(ofKilled, ({ outputBytes }) => outputBytes) >= 100)
      await second.stop()
    })
  }
})
