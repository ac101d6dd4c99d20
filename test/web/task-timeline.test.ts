import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findTask } from '../../app/store/find-task.ts'
import type { TaskState } from '../../app/task/task.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { until } from '../helpers/scene.ts'

let panel: ListeningPanel
let operator: SignedIn

before(async () => {
  panel = await listenPanel()
  operator = await panel.signIn('operator')
})
after(() => panel.close())

const page = async (id: number) => (await panel.ask({ url: `/admin/core/bgtask/${id}`, as: operator })).body
const stateIs = (id: number, state: TaskState) =>
  until(`task ${id} is ${state}`, async () => (await findTask(panel.background.db, id))?.state === state, 30_000)
/** What each step says, without its times. */
const steps = (html: string) =>
  [...(/<ol class="timeline">([\s\S]*?)<\/ol>/.exec(html)?.[1] ?? '').matchAll(/<li[^>]*>([\s\S]*?)<\/li>/g)].map(([, step]) =>
    step!
      .replace(/<time[^>]*>[^<]*<\/time>/g, '')
      .replace(/<[^>]*>/g, ' ')
      .replace(/[\d.]+ (ms|s)\b/g, '…')
      .replace(/\s+/g, ' ')
      // A machine that is busy may begin it late, and then the page says so.
      .replace(/ Run \d+ began … .*$/, '')
      .trim(),
  )

test('a task’s page draws what happened to it, through a failed try, an end, and being asked for again', async () => {
  const { id } = await panel.background.addTask('test/fails', {}, { maxAttempts: 2, creator: 'kim' })
  assert.deepEqual(steps(await page(id)), ['Added by kim', 'Waits for its turn began'])
  await panel.ask({ method: 'POST', url: '/admin/core/bgtask/loop/start', as: operator, body: {} })
  await stateIs(id, 'failed')
  const failed = ['Run 1 … It failed: it did not work out', 'Waited for the next try …', 'Run 2 … It failed: it did not work out']
  const first = await page(id)
  assert.deepEqual(steps(first), ['Added by kim', 'Waited for its turn …', ...failed, 'Failed Given up after 2 tries.'])
  assert.match(first, /<p class="hint">It took [\d.]+ s from being added to its end; it ran for [\d.]+ m?s of that\.<\/p>/)
  assert.equal(first.match(/class="step-share"/g)?.length, 4)
  assert.match(first, new RegExp(`href="/admin/core/bgtask/${id}\\?run=1#output">Run 1<`))
  await panel.ask({ method: 'POST', url: `/admin/core/bgtask/${id}/retry`, as: operator, body: {} })
  await stateIs(id, 'failed')
  assert.deepEqual(steps(await page(id)).slice(5), [
    'Failed',
    'Asked for again',
    'Waited for its turn …',
    'Run 3 … It failed: it did not work out',
    'Waited for the next try …',
    'Run 4 … It failed: it did not work out',
    'Failed Given up after 2 tries.',
  ])
  // Of a page of older runs, the timeline is the same.
  const older = (await panel.ask({ url: `/admin/core/bgtask/${id}?before=2`, as: operator })).body
  assert.deepEqual(steps(older), steps(await page(id)))
})

test('a loop has no timeline of its runs', async () => {
  const { id } = await panel.background.addTask('test/forever', {}, 'FOREVER')
  const html = await page(id)
  assert.doesNotMatch(html, /timeline/)
  assert.match(html, /Clone with changes/)
  // A supervisor runs here by now, and what it starts would outlive it.
  await panel.ask({ method: 'POST', url: `/admin/core/bgtask/${id}/stop`, as: operator, body: {} })
  await stateIs(id, 'stopped')
})

test('a task that replaced another one, and that one, name each other; so does what it was followed by', async () => {
  const add = (onConflict: 'replace' | 'keepLast', unique = 'lesson <1>') =>
    panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, unique, onConflict })
  const old = await add('replace')
  const middle = await add('replace')
  const newest = await add('replace')
  const link = (id: number) => `<a href="/admin/core/bgtask/${id}">#${id}</a>`
  assert.ok((await page(old.id)).includes(`<dt>Replaced by</dt><dd>${link(middle.id)}`))
  const between = await page(middle.id)
  assert.ok(between.includes(`<dt>Replaces</dt><dd>${link(old.id)}`))
  assert.ok(between.includes(`<dt>Replaced by</dt><dd>${link(newest.id)}`))
  assert.deepEqual(steps(between), [
    `Added in place of #${old.id}`,
    'Waited for its time …',
    `Cancelled Replaced by #${newest.id} , which has the same unique key.`,
  ])
  const last = await page(newest.id)
  assert.ok(last.includes(`<dt>Replaces</dt><dd>${link(middle.id)}`))
  assert.doesNotMatch(last, /Replaced by/)
  assert.deepEqual(steps(last), [`Added in place of #${middle.id}`, 'Waits for its time began until'])
  // Of another key.
  const other = await page((await add('replace', 'lesson <2>')).id)
  assert.doesNotMatch(other, /Replace[sd]/)
})

test('what a schedule has made names it, also when that was removed', async () => {
  await panel.background.addSchedule('nightly', { everyMs: 3_600_000, action: 'test/ok' })
  const schedule = Number(panel.sql('SELECT id FROM bg_schedule')[0]!.id)
  await panel.ask({ method: 'POST', url: `/admin/config/schedules/${schedule}/run`, as: operator, body: {} })
  const id = Number(panel.sql('SELECT MAX(task_id) AS id FROM bg_schedule_due')[0]!.id)
  const made = await page(id)
  assert.match(steps(made)[0]!, /^Added .*by the schedule nightly$/)
  assert.match(made, new RegExp(`by the schedule <a href="/admin/config/schedules#schedule-${schedule}">nightly</a>`))
  await panel.ask({ method: 'POST', url: `/admin/config/schedules/${schedule}/removal`, as: operator, body: {} })
  assert.match(steps(await page(id))[0]!, /^Added .*by a schedule that was removed$/)
})

test('with other params: the form begins with this task, its secrets hidden, and adds a task that has them', async () => {
  const secret = 'not-for-operators-7'
  const { id } = await panel.background.addTask('test/ok', { password: secret, rows: 7 }, { delayMs: 3_600_000, type: 'report' })
  const own = await page(id)
  assert.match(own, new RegExp(`href="/admin/core/bgtask/new\\?like=${id}">.*Run with other params`))
  const form = (await panel.ask({ url: `/admin/core/bgtask/new?like=${id}`, as: operator })).body
  assert.match(form, new RegExp(`name="like" value="${id}"`))
  assert.match(form, /\[redacted 1\]&quot;,\s+&quot;rows&quot;: 7/)
  for (const html of [own, form]) assert.doesNotMatch(html, new RegExp(secret))
  const body = { action: 'test/ok', exec_type: 'ONCE', when: 'in', delay: '5', delay_unit: 'hours', like: String(id) }
  const answer = await panel.ask({
    method: 'POST',
    url: '/admin/core/bgtask',
    as: operator,
    body: { ...body, params: '{"password": "[redacted 1]", "rows": 8}' },
  })
  assert.equal(answer.status, 303)
  const added = await findTask(panel.background.db, Number(answer.headers.location?.split('/').at(-1)))
  assert.deepEqual(added?.params, { password: secret, rows: 8 })
})
