import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listAudit } from '../../app/store/audit.ts'
import { findTask } from '../../app/store/find-task.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let operator: SignedIn

before(async () => {
  panel = await listenPanel()
  operator = await panel.signIn('operator')
})
after(() => panel.close())

const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))
const waiting = () => panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, unique: 'lesson & <room>' })
const address = (id: number) => `/admin/core/bgtask/${id}/move`
const move = (id: number, body: Record<string, string>, cookie = '') =>
  panel.ask({ method: 'POST', url: address(id), as: operator, body, ...(cookie ? { headers: { cookie } } : {}) })
const dueAt = async (id: number) => (await findTask(panel.background.db, id))?.runAt

test('a waiting task is moved, by so and so long or to what clocks show in a zone, with seconds; the audit tells from when to when', async () => {
  const { id, runAt } = await waiting()
  const before = Date.now()
  assert.equal((await move(id, { when: 'in', delay: '90', delay_unit: 'seconds' })).status, 303)
  const due = (await dueAt(id))!
  assert.ok(due >= before + 90_000 && due <= Date.now() + 90_000)
  const [row] = await listAudit(panel.background.db, { limit: 1, act: 'task-move' })
  assert.deepEqual([row?.subject, row?.userName], [String(id), 'operator'])
  assert.equal(row?.detail, `test/ok, from ${new Date(runAt).toISOString()} to ${new Date(due).toISOString()}`)
  const moved = await move(id, { when: 'at', at: '2030-03-31T08:00:07', zone: 'asia/shanghai' })
  assert.equal(moved.status, 303)
  assert.equal(await dueAt(id), Date.parse('2030-03-31T00:00:07Z'))
  // The zone is remembered, and the form begins with the time as its clocks show it.
  const remembered = [moved.headers['set-cookie'] ?? []]
    .flat()
    .find(one => one.startsWith('bgtask-zone='))!
    .split(';')[0]!
  const page = await panel.ask({ url: address(id), as: operator, headers: { cookie: `${operator.cookie}; ${remembered}` } })
  assert.match(mainOf(page.body), /name="at" value="2030-03-31T08:00:07"/)
  assert.match(mainOf(page.body), /<option selected>Asia\/Shanghai</)
  await panel.background.cancelTask(id)
})

test('what is no due time is said above the form, which keeps what was given; nothing is moved', async () => {
  const { id, runAt } = await waiting()
  for (const [body, words] of [
    [{ when: 'at', at: '', zone: 'UTC' }, /gave no date and time/],
    [{ when: 'at', at: '2026-02-30T08:00', zone: 'UTC' }, /“2026-02-30T08:00” is no time that clocks show in UTC/],
    [{ when: 'at', at: '2026-03-29T02:30', zone: 'Europe/Berlin' }, /no time that clocks show in Europe\/Berlin.*an hour is missing/],
    [{ when: 'at', at: '2026-03-29T12:30', zone: 'Berlin' }, /no time zone.*did you mean Europe\/Berlin/],
    [{ when: 'in', delay: '', delay_unit: 'minutes' }, /not how long from now/],
    [{ when: 'in', delay: '-1', delay_unit: 'minutes' }, /“-1” is no time from now/],
    [{ when: 'in', delay: '1e9', delay_unit: 'days' }, /up to ten years/],
  ] as [Record<string, string>, RegExp][]) {
    const { status, body: page } = await move(id, body)
    assert.equal(status, 422, JSON.stringify(body))
    assert.match(mainOf(page), words)
    if (body.when === 'at') assert.match(mainOf(page), /value="at" checked/)
  }
  assert.equal(await dueAt(id), runAt)
})

test('one that does not wait has nothing to move: the page and the answer say so', async () => {
  const { id } = await panel.background.addTask('test/ok')
  await panel.background.cancelTask(id)
  assert.match(mainOf((await panel.ask({ url: address(id), as: operator })).body), /only a task that waits/)
  assert.equal((await move(id, { when: 'in', delay: '1', delay_unit: 'hours' })).status, 303)
  const page = await panel.ask({ url: `/admin/core/bgtask/${id}`, as: operator })
  assert.match(page.body, /is cancelled; only a waiting once-task has a due time to move/)
  assert.equal((await panel.ask({ url: address(999_999), as: operator })).status, 404)
})

test('a key leads to all that have had it, and says which holds it', async () => {
  const key = 'lesson & <room>'
  const holder = (await panel.background.taskWithKey(key))!
  const task = await panel.ask({ url: `/admin/core/bgtask/${holder.id}`, as: operator })
  const link = `?unique=${encodeURIComponent(key)}`
  assert.ok(task.body.includes(link))
  const list = mainOf((await panel.ask({ url: `/admin/core/bgtask${link}`, as: operator })).body)
  assert.ok(
    list.includes(`name="unique" value="lesson &#38; &#60;room&#62;"`) || list.includes('name="unique" value="lesson &amp; &lt;room&gt;"'),
  )
  assert.equal([...list.matchAll(/class="cell-task"/g)].length, 2)
  const other = mainOf((await panel.ask({ url: '/admin/core/bgtask?unique=none', as: operator })).body)
  assert.doesNotMatch(other, /cell-task/)
  assert.match(mainOf((await panel.ask({ url: '/admin/core/bgtask?text=LESSON', as: operator })).body), /cell-task/)
})
