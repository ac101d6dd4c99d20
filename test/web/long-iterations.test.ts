import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Beat, writeBeat } from '../../app/runs/beat.ts'
import { makeTicket } from '../../app/runs/make-ticket.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { writeTicket } from '../../app/runs/ticket.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { emptySample, type Sample, type SampleSpanMs, sampleSpans, spanAt } from '../../app/task/sample.ts'
import { longIterations } from '../../app/web/long-iterations.ts'
import { openScene } from '../api/scene.ts'

const [minuteMs, tenMinutesMs, hourMs] = sampleSpans
const now = Date.now()

const beat = (more: Partial<Beat>): Beat => ({
  ...{ at: now, pid: 1, iterations: 600, errors: 0, iterationStartedAt: null, lastIterationMs: 2, lastIterationAt: now, lastError: null },
  ...{ nextIterationAt: null, progress: null, memoryBytes: 1 },
  ...more,
})

test('which iterations take far longer than those before them, and how long these took', async t => {
  const { config, background } = await openScene(t)
  const { db } = background
  /** A loop whose run here says so, and what it did before. */
  const loop = async (told: Partial<Beat>, before: Sample[], { stallMs = null }: { stallMs?: number | null } = {}) => {
    const { id } = await background.addTask('test/plain', {}, 'FOREVER')
    await db.kysely.updateTable('bg_task').set({ state: 'running', number: 1 }).where('id', '=', id).execute()
    const task = (await findTask(db, id))!
    const { folder, beat: path } = runtimePaths(config.runtime).run(`${id}-1`)
    const action = { file: '/nowhere.ts', exportName: 'execute', stallMs, stallRestart: false }
    writeTicket(folder, makeTicket(task, action, { number: 1, host: 'h', epoch: 'e', marked: true }))
    writeBeat(path, beat(told))
    await insertSamples(
      db,
      before.map(sample => ({ ...sample, taskId: id })),
    )
    return task
  }
  const did = (at: number, spanMs: SampleSpanMs, iterations: number, more: Partial<Sample> = {}): Sample => ({
    ...{ ...emptySample(0, spanAt(at, spanMs), spanMs), iterations, durations: iterations > 0 ? { 80: iterations } : {} },
    ...more,
  })
  const of = async (...loops: Awaited<ReturnType<typeof loop>>[]) => {
    const found = await longIterations({ config, background }, loops, now)
    return loops.map(({ id }) => found.get(id) ?? null)
  }

  const ago = (ms: number) => now - ms
  const recent = await loop({ iterationStartedAt: ago(3 * minuteMs) }, [did(ago(5 * minuteMs), minuteMs, 600)])
  const [told] = await of(recent)
  assert.ok(told)
  assert.equal(told.startedAt, ago(3 * minuteMs))
  assert.ok(told.p50Ms > 0.9 && told.p95Ms < 1.1)
  assert.deepEqual([told.doing, told.isWatched], [null, false])

  // Its event loop is blocked, so it could not say that it has begun.
  const blocked = await loop({ nextIterationAt: ago(3 * minuteMs) }, [did(ago(5 * minuteMs), minuteMs, 600)], { stallMs: hourMs })
  assert.deepEqual(
    (await of(blocked)).map(one => [one?.startedAt, one?.isWatched]),
    [[ago(3 * minuteMs), true]],
  )

  // When what it did by the minute is forgotten, longer spans tell it still: after five hours, and after two days.
  const fiveHours = await loop({ iterationStartedAt: ago(5 * hourMs) }, [did(ago(6 * hourMs), tenMinutesMs, 30)])
  const twoDays = await loop({ iterationStartedAt: ago(48 * hourMs) }, [did(ago(50 * hourMs), hourMs, 30)])
  assert.deepEqual(
    (await of(fiveHours, twoDays)).map(one => one?.startedAt),
    [ago(5 * hourMs), ago(48 * hourMs)],
  )

  const early = await loop({ iterationStartedAt: ago(minuteMs - 5_000) }, [did(ago(5 * minuteMs), minuteMs, 600)])
  const asUsual = await loop({ iterationStartedAt: ago(3 * minuteMs) }, [did(ago(5 * minuteMs), minuteMs, 30, { durations: { 212: 30 } })])
  const unknown = await loop({ iterationStartedAt: ago(5 * hourMs) }, [did(ago(6 * hourMs), hourMs, 19)])
  const later = await loop({ iterationStartedAt: ago(3 * minuteMs) }, [did(now, minuteMs, 600)])
  const between = await loop({ nextIterationAt: now + hourMs }, [did(ago(5 * minuteMs), minuteMs, 600)])
  const stalled = await loop({ iterationStartedAt: ago(3 * minuteMs) }, [did(ago(5 * minuteMs), minuteMs, 600)])
  assert.deepEqual(await of(early, asUsual, unknown, later, between, { ...stalled, state: 'stalled' }), [
    null,
    null,
    null,
    null,
    null,
    null,
  ])
})
