import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { insertTasks } from '../../app/store/insert-task.ts'
import { insertSamples, listSamples, rollUpSamples } from '../../app/store/samples.ts'
import { deleteTask, wishDown } from '../../app/store/wishes.ts'
import { emptySample, keepSamplesMs, type Sample } from '../../app/task/sample.ts'
import { dialects, freshDb } from './dialects.ts'
import { newTask } from './new-task.ts'

const minuteMs = 60_000
const hourMs = 3_600_000
/** A full hour. */
const beginning = 1_700_002_800_000

const minutes = (taskId: number, from: number, count: number): Sample[] =>
  Array.from({ length: count }, (_, index) => ({
    ...emptySample(taskId, from + index * minuteMs, minuteMs),
    ...{ iterations: 2, errors: 1, durations: { 100: 2 }, cpuMs: 10, memoryBytes: 1_000 + index, outputBytes: 5 },
  }))

for (const dialect of dialects) {
  describe(`samples of loops on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('are what was written; written again they stay as they are', async () => {
      const db = await freshDb(dialect)
      const [first, second] = minutes(1, beginning, 2) as [Sample, Sample]
      await insertSamples(db, [{ ...second, memoryBytes: null, durations: {} }, first])
      await insertSamples(db, [{ ...first, iterations: 99 }])
      assert.deepEqual(await listSamples(db, 1, minuteMs, 0), [first, { ...second, memoryBytes: null, durations: {} }])
      assert.deepEqual(await listSamples(db, 1, minuteMs, second.at), [{ ...second, memoryBytes: null, durations: {} }])
      assert.deepEqual(await listSamples(db, 2, minuteMs, 0), [])
      await insertSamples(db, [])
    })

    test('longer spans are made of shorter ones when they are over, once, by several at once, and after a pause', async () => {
      const db = await freshDb(dialect)
      const until = beginning + 2 * hourMs + 25 * minuteMs
      for (const id of [1, 2]) await insertSamples(db, minutes(id, beginning, 145))
      for (let times = 0; times < 2; times++) await Promise.all([1, 2, 3].map(() => rollUpSamples(db, [1, 2], until)))
      for (const id of [1, 2]) {
        const tens = await listSamples(db, id, 600_000, 0)
        assert.deepEqual(
          tens.map(({ at, iterations, errors, cpuMs, outputBytes }) => [at, iterations, errors, cpuMs, outputBytes]),
          Array.from({ length: 14 }, (_, index) => [beginning + index * 600_000, 20, 10, 100, 50]),
        )
        assert.equal(tens[13]!.memoryBytes, 1_139)
        const hours = await listSamples(db, id, hourMs, 0)
        assert.deepEqual(
          hours.map(({ at, iterations, durations }) => [at, iterations, durations]),
          [0, 1].map(hour => [beginning + hour * hourMs, 120, { 100: 120 }]),
        )
      }
      // What is over meanwhile follows.
      await insertSamples(db, minutes(1, until, 35))
      await rollUpSamples(db, [1], beginning + 3 * hourMs)
      assert.equal((await listSamples(db, 1, hourMs, 0)).length, 3)
    })

    test('each span goes when it is too old, and the others stay', async () => {
      const db = await freshDb(dialect)
      await insertSamples(db, minutes(1, beginning, 120))
      await insertSamples(db, minutes(2, beginning, 1))
      await rollUpSamples(db, [1], beginning + 2 * hourMs)
      await rollUpSamples(db, [1], beginning + hourMs + keepSamplesMs[minuteMs])
      assert.equal((await listSamples(db, 1, minuteMs, 0))[0]!.at, beginning + hourMs)
      assert.equal((await listSamples(db, 1, 600_000, 0)).length, 12)
      assert.equal((await listSamples(db, 2, minuteMs, 0)).length, 1)
      await rollUpSamples(db, [1], beginning + keepSamplesMs[hourMs])
      assert.equal((await listSamples(db, 1, 600_000, 0)).length, 0)
      assert.equal((await listSamples(db, 1, hourMs, 0)).length, 2)
    })

    test('go with their loop', async () => {
      const db = await freshDb(dialect)
      const [made] = await insertTasks(db, [newTask({ execType: 'FOREVER' })])
      const { id } = made!.task
      await insertSamples(db, minutes(id, beginning, 2))
      await wishDown(db, id, 'test', beginning)
      await db.kysely.updateTable('bg_task').set({ state: 'stopped' }).where('id', '=', id).execute()
      assert.equal(await deleteTask(db, id), true)
      assert.deepEqual(await listSamples(db, id, minuteMs, 0), [])
    })
  })
}
