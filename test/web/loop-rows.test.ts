import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Life } from '../../app/store/list-lives.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { emptySample, type Sample, spanAt } from '../../app/task/sample.ts'
import { mostLives } from '../../app/web/known-lives.ts'
import { loopRow } from '../../app/web/loop-rows.ts'
import { earlyInMinute } from '../helpers/early-in-minute.ts'
import { openPanel } from '../helpers/open-panel.ts'

const minuteMs = 60_000
const hourMs = 3_600_000
const now = Date.UTC(2026, 0, 2, 12, 0, 30)
const life = (number: number, agoMs: number, endedAgoMs: number | null = null): Life => ({
  number,
  startedAt: now - agoMs,
  endedAt: endedAgoMs === null ? null : now - endedAgoMs,
  outcome: endedAgoMs === null ? null : 'exited',
})
const minute = (ago: number, more: object = {}) => ({
  ...{ at: spanAt(now, minuteMs) - ago * minuteMs, iterations: 0, errors: 0, cpuMs: 0, memoryBytes: null },
  ...more,
})
const row = (
  lives: Life[],
  minutes: ReturnType<typeof minute>[],
  lastSuccessAt: number | null = null,
  beat: Parameters<typeof loopRow>[3] = null,
) => loopRow({ wanted: 'up' }, lives, { minutes, lastSuccessAt }, beat, now)

test('restarts are the starts of a day but for the very first, and no more than is known', () => {
  assert.equal(row([life(1, hourMs)], []).restarts, 0)
  const { restarts, hasMoreRestarts } = row([life(1, 30 * hourMs, 25 * hourMs), life(2, 25 * hourMs, 2 * hourMs), life(3, hourMs)], [])
  assert.deepEqual([restarts, hasMoreRestarts], [1, false])
  const many = Array.from({ length: mostLives }, (_, n) => life(n + 500, (mostLives - n) * minuteMs, (mostLives - n) * minuteMs - 1))
  assert.deepEqual([row(many, []).restarts, row(many, []).hasMoreRestarts], [mostLives, true])
})

test('the rate is that of the minutes in which it ran; CPU and memory are of the last one, or nothing', () => {
  const busy = row([], [minute(9, { iterations: 30 }), minute(1, { iterations: 6, cpuMs: 3_000, memoryBytes: 7 })])
  assert.deepEqual([busy.perMinute, busy.cpuPart, busy.memoryBytes], [18, 0.05, 7])
  const gone = row([], [minute(9, { iterations: 30, cpuMs: 3_000, memoryBytes: 7 })])
  assert.deepEqual([gone.perMinute, gone.cpuPart, gone.memoryBytes], [30, null, null])
  const { perMinute, cpuPart, memoryBytes, lastSuccess } = row([], [])
  assert.deepEqual([perMinute, cpuPart, memoryBytes, lastSuccess], [null, null, null, null])
})

test('a success of the last minutes is told without its moment, an earlier one with it', () => {
  assert.equal(row([], [], minute(2).at).lastSuccess, 'recent')
  assert.equal(row([], [], minute(3).at).lastSuccess, minute(3).at)
  const beat = { memoryBytes: 123_456_789, minutes: [{ ...minute(0, { iterations: 3, errors: 1 }), durations: {} }] }
  const young = row([], [], null, beat)
  assert.deepEqual([young.lastSuccess, young.memoryBytes], ['recent', 120_000_000])
  const failing = { ...beat, minutes: [{ ...minute(0, { iterations: 3, errors: 3 }), durations: {} }] }
  assert.equal(row([], [], null, failing).lastSuccess, null)
})

test('the list of loops has a column for each, the list of all tasks has not', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const look = async (query: string) => (await panel.ask({ url: `/admin/core/bgtask${query}`, as: viewer })).body
  assert.match(await look('?exec_type=FOREVER'), /There are no loops yet/)
  const { db } = panel.background
  const { id } = await panel.background.addTask('test/forever', {}, { execType: 'FOREVER', type: 'feeds' })
  const failing = await panel.background.addTask('test/forever', { n: 2 }, { execType: 'FOREVER' })
  await panel.background.addTask('test/ok')
  // CPU and memory are those of the last whole minute.
  await earlyInMinute(10_000)
  const at = spanAt(Date.now(), minuteMs)
  const sample = (taskId: number, from: number, spanMs: Sample['spanMs'], more: Partial<Sample>): Sample => ({
    ...emptySample(taskId, from, spanMs),
    ...more,
  })
  await insertSamples(db, [
    sample(id, at - minuteMs, minuteMs, { iterations: 12, cpuMs: 4_500, memoryBytes: 50_000_000 }),
    sample(id, at - 2 * minuteMs, minuteMs, { iterations: 13 }),
    sample(failing.id, at - minuteMs, minuteMs, { iterations: 4, errors: 4 }),
    sample(failing.id, spanAt(at - 5 * hourMs, 600_000), 600_000, { iterations: 4, errors: 3 }),
  ])
  for (const number of [1, 2, 3])
    panel.sql(
      "INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome) VALUES (?, ?, 'h', 'e', ?, ?, 'exited')",
      ...[id, number, at - (5 - number) * minuteMs, at - (5 - number) * minuteMs + 1_000],
    )
  panel.sql('UPDATE bg_task SET number = 3, updated_at = updated_at + 1 WHERE id = ?', id)
  const body = await look('?exec_type=FOREVER')
  assert.match(body, /<h1>Loops<\/h1>/)
  const cells = (task: number) => {
    const [, text] = new RegExp(`<tr>(?:(?!</tr>)[\\s\\S])*?#${task}<([\\s\\S]*?)</tr>`).exec(body)!
    return [...text!.matchAll(/<td class="right num[^"]*" data-label="[^"]*">([\s\S]*?)<\/td>/g)].map(([, cell]) =>
      cell!.replace(/<[^>]*>/g, '').trim(),
    )
  }
  assert.deepEqual(cells(id), ['12.5', 'less than 3 min ago', '2', '7.5 %', '50 MB'])
  assert.deepEqual(
    cells(failing.id).map(cell => cell.replace(/\d+ hours ago/, 'hours ago')),
    ['4', 'hours ago', '0', '0 %', '–'],
  )
  assert.doesNotMatch(body, /#3</)
  assert.match(body, /aria-current="page"><svg[^>]*><use href="[^"]*#infinity"/)
  assert.match(body, /exec_type=FOREVER&amp;type=feeds/)
  assert.match(await look('?exec_type=FOREVER&type=none'), /No task matches[\s\S]*href="\/admin\/core\/bgtask\?exec_type=FOREVER"/)
  const all = await look('')
  assert.match(all, /<h1>Tasks<\/h1>/)
  assert.equal(all.includes('cell-strip'), false)
  assert.match(all, /test\/ok/)
})
