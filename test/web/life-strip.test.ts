import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutcomeKind } from '../../app/task/outcome.ts'
import { lifeStrip } from '../../app/web/life-strip.ts'
import { openPanel } from '../helpers/open-panel.ts'

const minuteMs = 60_000
const life = (fromMinute: number, toMinute: number | null, outcome: OutcomeKind | null = null) => ({
  startedAt: fromMinute * minuteMs,
  endedAt: toMinute === null ? null : toMinute * minuteMs,
  outcome,
})
const strip = (wanted: 'up' | 'down', lives: ReturnType<typeof life>[], from = 0, to = 100) =>
  lifeStrip({ wanted }, lives, from * minuteMs, to * minuteMs)

test('up while it ran, down in red from a bad end to the next start, and what is not known stays empty', () => {
  assert.deepEqual(strip('up', [life(10, 30, 'killed'), life(40, null)]), {
    shapes: [
      { tone: 'good', path: 'M10 0h20v10H10zM40 0h60v10H40z' },
      { tone: 'bad', path: 'M30 0h10v10H30zM30 0h1.5v10H30z' },
    ],
    minutes: 100,
    up: 80 / 90,
    badEnds: 1,
  })
  assert.deepEqual(strip('up', []), { shapes: [], minutes: 100, up: null, badEnds: 0 })
})

test('one that is up again at once is to be seen all the same, at the end too', () => {
  const { shapes, badEnds, up } = strip('up', [life(0, 50, 'exited'), life(50, 100, 'failed')], 0, 100.5)
  assert.equal(badEnds, 2)
  assert.ok(up! > 0.99)
  assert.match(shapes.find(({ tone }) => tone === 'bad')!.path, /^M100 0h0\.5v10H100zM50 0h1\.5v10H50zM99 0h1\.5v10H99z$/)
})

test('what was wanted is no fault: stopped, replaced, or stopped for good after a bad end', () => {
  assert.deepEqual(
    strip('up', [life(0, 20, 'interrupted'), life(30, 60, 'cancelled'), life(70, null)]).shapes.map(({ tone }) => tone),
    ['off', 'good'],
  )
  const stopped = strip('down', [life(0, 50, 'killed')])
  assert.deepEqual(
    stopped.shapes.map(({ tone, path }) => [tone, path]),
    [
      ['off', 'M50 0h50v10H50z'],
      ['good', 'M0 0h50v10H0z'],
      ['bad', 'M50 0h1.5v10H50z'],
    ],
  )
})

test('what lies outside the time is cut off', () => {
  assert.deepEqual(strip('up', [life(-500, 10, 'failed'), life(20, null)], 5, 100).shapes, [
    { tone: 'good', path: 'M0 0h5v10H0zM15 0h80v10H15z' },
    { tone: 'bad', path: 'M5 0h10v10H5zM5 0h1.5v10H5z' },
  ])
})

test('the overview has one for each loop that is wanted, made anew when the loop has changed, and one of many bad ends needs attention', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer')
  const overview = async () => (await panel.ask({ url: '/admin', as: viewer })).body
  const { id } = await panel.background.addTask('test/forever', {}, { execType: 'FOREVER' })
  assert.match(await overview(), /aria-label="Has not run yet"/)
  const now = Date.now()
  const added = (number: number, fromMs: number, toMs: number | null, outcome: string | null, error: string | null = null) =>
    panel.sql(
      `INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome, error, attempt, adopted, recycled)
       VALUES (?, ?, 'h', 'e', ?, ?, ?, ?, 1, 0, 0)`,
      ...[id, number, now - fromMs, toMs === null ? null : now - toMs, outcome, error],
    )
  added(1, 4 * 3_600_000, 3 * 3_600_000, 'killed')
  added(2, 2 * 3_600_000, null, null)
  panel.sql(`UPDATE bg_task SET number = 2, state = 'running', updated_at = updated_at + 1 WHERE id = ?`, id)
  assert.match(await overview(), /aria-label="Up (7[45](\.\d)?) % of the time, 1 bad end"/)

  // It lives too long to be slowed or tripped, and ends badly all the same.
  const attention = async (language = 'en') => {
    const { body } = await panel.ask({ url: '/admin', as: viewer, headers: { 'accept-language': language } })
    return /class="line-acts|#triangle-alert"[^§]*?<ul class="lines">([^§]*?)<\/ul>/.exec(body.split('class="strips"')[0]!)?.[1] ?? ''
  }
  const minuteMs = 60_000
  panel.sql('UPDATE bg_run SET ended_at = ?, outcome = ? WHERE task_id = ? AND number = 2', now - 5 * minuteMs, 'failed', id)
  added(3, 5 * minuteMs, 4 * minuteMs, 'failed')
  const up = (number: number) =>
    panel.sql(
      "UPDATE bg_task SET number = ?, started_at = ?, wanted = 'up', state = 'running', updated_at = updated_at + 1 WHERE id = ?",
      ...[number, now - 2 * minuteMs, id],
    )
  added(4, 4 * minuteMs, null, null)
  up(4)
  assert.equal(await attention(), '', 'twice is not yet again and again')
  panel.sql(
    'UPDATE bg_run SET ended_at = ?, outcome = ?, error = ? WHERE task_id = ? AND number = 4',
    ...[now - 2 * minuteMs, 'failed', 'Error: connect ECONNREFUSED 127.0.0.1:5433', id],
  )
  added(5, 2 * minuteMs, null, null)
  up(5)
  assert.match(
    await attention(),
    /It keeps ending badly: 3 times within the last hour[\s\S]*The connection was refused: nothing listens at/,
  )
  assert.match(await attention('zh-CN'), /最近一小时内 3 次[\s\S]*连接被拒绝/)
  assert.equal((await overview()).split('class="line-name"').length, 2, 'it stands there, and not under what runs')
  panel.sql("UPDATE bg_task SET content = 'the words of an earlier run' WHERE id = ?", id)
  assert.doesNotMatch((await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer })).body, /the words of an earlier run/)
  for (const url of [`/admin/core/bgtask/${id}`, '/admin/core/bgtask?exec_type=FOREVER'])
    assert.match((await panel.ask({ url, as: viewer })).body, /It keeps ending badly: 3 times within the last hour/)
})
