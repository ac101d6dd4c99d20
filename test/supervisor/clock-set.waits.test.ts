import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ring } from '../../app/runs/doorbell.ts'
import { listSchedules } from '../../app/store/list-schedules.ts'
import { makeScene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'

const minuteMs = 60_000
const rules = ['once', 'all', 'skip'] as const
const shifted = pathToFileURL(join(import.meta.dirname, '..', 'helpers', 'shifted-clock.js')).href

/*
 * The clock of a supervisor is set while it runs: by our own file in place of Date.now, or, where BGTASK_TEST_LIBFAKETIME names the library, for the whole
 * process with all that it calls.
 */
const library = process.env.BGTASK_TEST_LIBFAKETIME

for (const dialect of dialects) {
  describe(`the clock is set under a supervisor on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('forwards over several due times, back by an hour, and forwards by an hour: nothing twice, nothing lost', async t => {
      const { file, set } = clockOf(t)
      const scene = await makeScene(t, {
        databaseUrl: await dialect.newUrl(),
        env: library
          ? { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
          : { NODE_OPTIONS: `--import=${shifted}`, BGTASK_TEST_CLOCK: file },
      })
      const { db } = scene.background
      await scene.supervise()
      const anchors = new Map<string, number>()
      for (const missed of rules) {
        const { rule } = await scene.background.addSchedule(missed, { everyMs: 10 * minuteMs, action: 'test/ok', missed })
        anchors.set(missed, (rule as { anchorAt: number }).anchorAt)
      }
      /** Minutes after its anchor at which it is next due. */
      const next = async () =>
        (await listSchedules(db, { limit: 10 })).map(({ name, nextAt }) => [name, (nextAt! - anchors.get(name)!) / minuteMs])
      const untilNext = (minutes: number) =>
        until(
          `all wait for minute ${minutes}`,
          async () => (await next()).every(([, at]) => at === minutes),
          30_000,
          async () => `${JSON.stringify(await next())}\n${scene.supervisorLog()}`,
        )
      /** Minutes of the due times that became tasks, in the order in which they did. */
      const made = async () => {
        const rows = await db.kysely
          .selectFrom('bg_schedule_due')
          .innerJoin('bg_schedule', 'bg_schedule.id', 'bg_schedule_due.schedule_id')
          .innerJoin('bg_task', 'bg_task.id', 'bg_schedule_due.task_id')
          .select(['name', 'due_at', 'run_at'])
          .orderBy('task_id')
          .execute()
        for (const { due_at, run_at } of rows) assert.equal(Number(run_at), Number(due_at))
        const of = (rule: string) =>
          rows.filter(({ name }) => name === rule).map(({ due_at }) => (Number(due_at) - anchors.get(rule)!) / minuteMs)
        return Object.fromEntries(rules.map(rule => [rule, of(rule)]))
      }
      const setAndRing = (minutes: number) => {
        set(minutes)
        ring(scene.runtime)
      }
      await untilNext(10)

      set(35)
      await untilNext(40)
      assert.deepEqual(await made(), { once: [30], all: [10, 20, 30], skip: [] })

      set(35 - 60)
      await untilNext(10)
      // That it sees by itself that the clock was set is tried by now; from here on we need not wait until it looks.
      setAndRing(10.1)
      await untilNext(20)
      assert.deepEqual(await made(), { once: [30, 10], all: [10, 20, 30], skip: [10] }, 'what had become a task becomes no other')
      setAndRing(30.1)
      await untilNext(40)
      assert.deepEqual(await made(), { once: [30, 10], all: [10, 20, 30], skip: [10, 30] })

      setAndRing(30.1 + 65)
      await untilNext(100)
      assert.deepEqual(await made(), { once: [30, 10, 90], all: [10, 20, 30, 40, 50, 60, 70, 80, 90], skip: [10, 30] })
      const tasks = await db.kysely.selectFrom('bg_task').select('id').execute()
      for (const { id } of tasks) await scene.untilState(Number(id), 'succeeded', 30_000)
      assert.equal(tasks.length, 3 + 9 + 2)
    })
  })
}

const clockOf = (t: TestContext) => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-clock-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'clock')
  /** @param minutes that it is ahead of the real one */
  const set = (minutes: number) => {
    // Whole or not at all: it is read at any moment.
    writeFileSync(`${file}.new`, library ? `${minutes < 0 ? '' : '+'}${minutes * 60}` : String(minutes * minuteMs))
    renameSync(`${file}.new`, file)
  }
  set(0)
  return { file, set }
}
