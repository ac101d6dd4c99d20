import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editTask } from '../../app/store/edit-task.ts'
import type { Start } from '../../app/store/list-starts.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { termsOf } from '../../app/task/edit.ts'
import { emptySample, type Sample, type SampleSpanMs, spanAt } from '../../app/task/sample.ts'
import { chartSpans, drawLoop } from '../../app/web/loop-charts.ts'
import { eventsIn } from '../../app/web/loop-events.ts'
import { thisIteration } from '../../app/web/this-iteration.ts'
import { openPanel } from '../helpers/open-panel.ts'

const minuteMs = 60_000
const to = 1_700_002_800_000
const hour = { span: '1h', from: to - 60 * minuteMs, to } as const

const sample = (at: number, more: Partial<Sample>, spanMs: SampleSpanMs = minuteMs): Sample => ({ ...emptySample(1, at, spanMs), ...more })
const run = (number: number, startedAt: number, outcome: Start['outcome'], more: Partial<Start> = {}): Start => ({
  ...{ number, startedAt, outcome, stop: null },
  ...more,
})

test('each figure is drawn in the span it belongs to, and the newest one is told', () => {
  const drawn = drawLoop(
    [
      sample(hour.from, { iterations: 30, durations: { 80: 30 }, cpuMs: 30_000, memoryBytes: 40e6, outputBytes: 1_000 }),
      sample(hour.from + minuteMs, {
        iterations: 10,
        errors: 5,
        durations: { 80: 5, 160: 5 },
        cpuMs: 0,
        memoryBytes: 50e6,
        outputBytes: 0,
      }),
      sample(to - minuteMs, { memoryBytes: null }),
    ],
    [],
    hour,
  )
  const of = (key: string) => drawn.charts.find(chart => chart.key === key)!
  assert.deepEqual([of('rate').newest, of('rate').most], [0, 50])
  assert.deepEqual(
    of('rate').shapes.map(({ className, path }) => [className, path]),
    [
      ['chart-bar', 'M0.1 100V40h0.8V100zM1.1 100V80h0.8V100z'],
      ['chart-bar bad', 'M1.1 100V90h0.8V100z'],
    ],
  )
  assert.equal(of('cpu').shapes[0]!.path, 'M0.5 0L1.5 100M59.1 100h0.8')
  assert.deepEqual([of('cpu').most, of('cpu').newest, of('memory').newest, of('memory').most], [50, 0, 50e6, 50e6])
  assert.equal(Math.round(of('time').newest!), 1, 'in the last minute no iteration ended')
  assert.deepEqual([drawn.iterations, drawn.errors, drawn.isEmpty], [40, 5, false])
  assert.ok(Math.abs(drawn.p50Ms! - 1.024) < 0.001 && Math.abs(drawn.p95Ms! - 1_048.6) < 0.1)
})

test('in longer spans rates stay those of a minute', () => {
  const { spanMs, slots } = chartSpans['24h']
  const from = to - slots * spanMs
  const drawn = drawLoop([sample(from, { iterations: 300, cpuMs: 60_000, outputBytes: 5_000, memoryBytes: 1 }, spanMs)], [], {
    span: '24h',
    from,
    to,
  })
  assert.deepEqual(
    ['rate', 'cpu', 'output'].map(key => drawn.charts.find(chart => chart.key === key)!.newest),
    [30, 10, 500],
  )
})

test('starts are marked where they were, another way after a bad end; what lies outside is not', () => {
  const starts = [
    run(6, to + 1, null),
    run(5, to - 30_000, 'interrupted'),
    run(4, hour.from + 90_000, 'interrupted'),
    run(3, hour.from + minuteMs, 'killed'),
    run(2, hour.from, 'exited'),
    run(1, hour.from - 1, 'succeeded'),
  ]
  const drawn = drawLoop([sample(hour.from, {})], eventsIn({ starts }, hour.from, hour.to), hour)
  assert.deepEqual(drawn.marks, [
    { kind: 'start', path: 'M0 0V100M59.5 0V100', heads: '' },
    { kind: 'bad-start', path: 'M1 0V100M1.5 0V100', heads: 'M1 0h0M1.5 0h0' },
  ])
  assert.deepEqual([drawn.starts, drawn.badStarts], [4, 2])
})

test('a start is what the end before it made it: fresh code after a reload or another supervisor, a wish, or nothing of that', () => {
  const eventAfter = (before: Partial<Start>) =>
    eventsIn({ starts: [run(2, hour.from + 1, null), run(1, hour.from - 1, 'interrupted', before)] }, hour.from, hour.to)[0]!
  const start = { at: hour.from + 1, number: 2 }
  assert.deepEqual(eventAfter({ stop: { because: 'reload', by: 'ann' } }), { kind: 'reload', ...start, because: 'reload', by: 'ann' })
  assert.deepEqual(eventAfter({ stop: { because: 'leaving', by: null } }), { kind: 'reload', ...start, because: 'leaving', by: null })
  assert.deepEqual(eventAfter({ stop: { because: 'fresh-wish', by: 'kim' } }), { kind: 'start', ...start, by: 'kim' })
  assert.deepEqual(eventAfter({}), { kind: 'start', ...start, by: null })
  assert.deepEqual(eventAfter({ outcome: 'killed', stop: { because: 'reload', by: 'ann' } }), { kind: 'bad-start', ...start })
  assert.equal(eventAfter({ number: 0, stop: { because: 'reload', by: 'ann' } }).kind, 'start', 'the run before is not known')
})

test('edits and reloads are marked, each kind by a line and a head of its own, named below and listed in words', async t => {
  const panel = await openPanel(t)
  const { db } = panel.background
  const viewer = await panel.signIn('viewer')
  const loop = await panel.background.addTask('test/forever', {}, { execType: 'FOREVER' })
  const { id } = loop
  const page = async () => (await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer })).body
  const now = Date.now()
  const ago = (minutes: number) => spanAt(now, minuteMs) - minutes * minuteMs
  await insertSamples(db, [{ ...sample(ago(1), { iterations: 12 }), taskId: id }])
  // The key is there, so that the first mark pushes nothing down, and nothing is marked.
  assert.match(await page(), /marks-key/)
  assert.doesNotMatch(await page(), /<span class="bad">|#edits-title/)
  for (const [number, minutes, outcome, stop] of [
    [1, 40, 'exited', null],
    [2, 30, 'interrupted', { because: 'reload', by: '<ann>' }],
    [3, 20, 'interrupted', { because: 'leaving', by: null }],
    [4, 10, 'interrupted', { because: 'fresh-wish', by: 'lee' }],
    [5, 5, null, null],
  ] as const)
    panel.sql(
      "INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome, end_facts) VALUES (?, ?, 'h', 'e', ?, ?, ?, ?)",
      ...[id, number, ago(minutes), outcome ? ago(minutes) + 1 : null, outcome, stop && JSON.stringify({ stop })],
    )
  const edit = { after: { ...termsOf(loop), graceMs: 5 }, effect: 'next', by: 'kim', via: 'form', revertOf: null, touched: [] } as const
  await editTask(db, loop, edit, ago(15))
  const html = await page()
  for (const kind of ['start', 'bad-start', 'reload', 'edit']) {
    assert.equal(html.split(`class="chart-mark mark-${kind}"`).length - 1, 5 + 1, `${kind} in five charts and the key`)
    assert.equal(html.split(`class="chart-head mark-${kind}"`).length - 1, kind === 'start' ? 0 : 5 + 1)
  }
  const list = html.slice(html.indexOf('id="marks-list"'), html.indexOf('</details>', html.indexOf('id="marks-list"')))
  assert.match(list, /What the lines are: 6 in this time/)
  assert.deepEqual(
    [...list.matchAll(/<li><time[^>]*>[^<]*<\/time> <span[^>]*>([^<]*)/g)].map(([, words]) => words),
    [
      'Run 5 began, since lee asked for it.',
      'Run 4 began, the first under a fresh supervisor.',
      'kim changed params or limits.',
      'Run 3 began with fresh code, since &lt;ann&gt; asked for that.',
      'Run 2 began, after the one before it had ended badly.',
      'Run 1 began.',
    ],
  )
})

test('a page of a loop shows them for the time that is asked for, a once-task has none, and what is no time is an hour', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const { id } = await panel.background.addTask('test/forever', {}, { execType: 'FOREVER' })
  const page = async (search: string) => (await panel.ask({ url: `/admin/core/bgtask/${id}${search}`, as: viewer })).body
  assert.match(await page(''), /There are no figures of this time yet/)
  const now = Date.now()
  const minute = spanAt(now, minuteMs) - minuteMs
  await insertSamples(panel.background.db, [
    { ...sample(minute, { iterations: 12, durations: { 133: 12 }, memoryBytes: 61e6 }), taskId: id },
    { ...sample(spanAt(now, 600_000) - 600_000, { iterations: 60, errors: 6, memoryBytes: 62e6 }, 600_000), taskId: id },
  ])
  for (const search of ['', '?span=1h', '?span=constructor', '?span=<b>']) {
    const html = await page(search)
    assert.match(html, /viewBox="0 0 60 100"/, search)
    assert.match(html, /12 iterations: half of them took at most 101 ms/)
    assert.match(html, /aria-label="Memory: 61 MB at the end; the scale ends at 100 MB\."/)
  }
  const day = await page('?span=24h')
  assert.match(day, /viewBox="0 0 144 100"/)
  assert.match(day, /<span class="bad">6 iterations threw\.<\/span>/)
  assert.match(day, /span=7d#charts-title/)
  assert.match(await page('?span=7d'), /There are no figures of this time yet/)
  const once = await panel.background.addTask('test/ok')
  assert.doesNotMatch((await panel.ask({ url: `/admin/core/bgtask/${once.id}`, as: viewer })).body, /charts-title/)
})

test('the iteration under way is held against those before it', () => {
  const usual = { p50Ms: 2_000, p95Ms: 5_000 }
  const short = { p50Ms: 2, p95Ms: 999 }
  const none = { p50Ms: null, p95Ms: null }
  const beat = (iterationStartedAt: number | null, lastIterationMs: number | null = 3) => ({ iterationStartedAt, lastIterationMs })
  assert.equal(thisIteration(null, usual, to), null)
  assert.equal(thisIteration(beat(null), short, to), null)
  assert.equal(thisIteration(beat(null), none, to), null)
  assert.equal(thisIteration(beat(to - 999), short, to), null, 'it may be over when the page is read')
  assert.deepEqual(thisIteration(beat(to - 4_000), usual, to), { startedAt: to - 4_000, usual, isLong: false })
  assert.equal(thisIteration(beat(to - 5_001), usual, to)?.isLong, true)
  assert.equal(thisIteration(beat(to - 1_000), short, to)?.isLong, true)
  assert.deepEqual(thisIteration(beat(to - 9_000), none, to), { startedAt: to - 9_000, usual: null, isLong: false })
  // Of long ones something is told between two as well, so that nothing comes and goes.
  const between = { startedAt: null, usual, isLong: false }
  for (const iterationStartedAt of [null, to - 999]) assert.deepEqual(thisIteration(beat(iterationStartedAt), usual, to), between)
  assert.deepEqual(thisIteration(beat(null, 1_000), none, to), { startedAt: null, usual: null, isLong: false })
})
