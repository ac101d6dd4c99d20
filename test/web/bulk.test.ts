import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let operator: SignedIn
let viewer: SignedIn
before(async () => {
  panel = await listenPanel()
  operator = await panel.signIn('operator')
  viewer = await panel.signIn('viewer')
})
after(() => panel.close())

const path = '/admin/core/bgtask/bulk'
const look = async (url: string, as = operator) => (await panel.ask({ url, as })).body
const linksIn = (body: string) =>
  [...body.matchAll(/href="([^"]*\/bulk\?[^"]*)"/g)].map(found => found[1]!.replaceAll(/&(amp|#38);/g, '&').split('?')[1])
const formIn = (body: string): Record<string, string> =>
  Object.fromEntries(
    [...body.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)]
      .map(([, name, value]) => [name!, value!] as const)
      .filter(([name]) => !['_csrf', 'next'].includes(name)),
  )
const post = (body: Record<string, string>, as = operator, url = path) => panel.ask({ method: 'POST', url, as, body })
const rows = () => panel.sql('SELECT * FROM bg_bulk')

test('a list offers what can be done to all that it shows, to those who may', async () => {
  assert.deepEqual(linksIn(await look('/admin/core/bgtask')), [])
  await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000, creator: 'kim' })
  await panel.background.addTask('test/ok', {}, { creator: 'li' })
  await panel.background.addTask('test/forever', {}, { execType: 'FOREVER', creator: 'kim' })
  assert.deepEqual(linksIn(await look('/admin/core/bgtask?creator=kim')), [
    'do=cancellation&creator=kim',
    'do=run&creator=kim',
    'do=deletion&creator=kim',
  ])
  assert.deepEqual(linksIn(await look('/admin/core/bgtask?state=waiting&text=test')), [
    'do=cancellation&state=waiting&text=test',
    'do=run&state=waiting&text=test',
  ])
  assert.deepEqual(
    linksIn(await look('/admin/core/bgtask?exec_type=FOREVER')),
    ['start', 'stop', 'restart'].map(act => `do=${act}&exec_type=FOREVER`),
  )
  assert.deepEqual(linksIn(await look('/admin/core/bgtask', viewer)), [])
})

test('the preview says what will happen to how many and which, and the same is done then, once asked', async () => {
  const body = await look(`${path}?do=cancellation&creator=kim`)
  assert.match(body, /1 task that match(es)? waits and will be cancelled/)
  assert.match(body, /test\/ok #1</)
  assert.match(body, /For 7 days it can be undone/)
  assert.match(await look(`${path}?do=deletion&creator=kim`), /No task that matches has ended/)
  const done = await post(formIn(body))
  assert.equal(done.status, 303, done.body)
  const { task_id: id, ...row } = rows()[0]!
  assert.equal(done.headers.location, `${path}/${id}`)
  assert.deepEqual(
    [row.act, JSON.parse(String(row.filter)), row.expected, row.asked_by],
    ['cancellation', { creator: 'kim', execType: 'ONCE', states: ['waiting'] }, 1, 'operator'],
  )
  assert.ok(Number(row.up_to) < Number(id))
  const [task] = panel.sql('SELECT action, params, creator FROM bg_task WHERE id = ?', Number(id))
  assert.deepEqual({ ...task }, { action: 'core/bulk', params: '{}', creator: 'operator' })
  const [act] = panel.sql('SELECT act, subject, detail FROM bg_audit ORDER BY id DESC LIMIT 1')
  assert.deepEqual(
    { ...act },
    {
      act: 'bulk-cancellation',
      subject: String(id),
      detail: 'core/bulk, 1: ONCE state:waiting creator:kim',
    },
  )
  assert.match(await look(`${path}/${id}`, viewer), /Cancel waiting tasks/)
  assert.match(await look(`/admin/core/bgtask/${id}`), new RegExp(`href="${path}/${id}"`))
})

test('what is agreed to is what was shown, by whom it was shown, and not long ago', async () => {
  const before = rows().length
  const good = formIn(await look(`${path}?do=cancellation&creator=kim`))
  const { preview, signature, ...wish } = good
  const [upTo, count, isAll, at] = preview!.split('-')
  const another = formIn(await look(`${path}?do=cancellation&creator=li`))
  const admin = await panel.signIn('admin')
  const attacks: [string, Record<string, string>][] = [
    ['another filter', { ...good, creator: 'li' }],
    ['a wider filter', { do: good.do!, preview: preview!, signature: signature! }],
    ['another act', { ...good, do: 'run' }],
    ['no act', { ...good, do: 'everything' }],
    ['another count', { ...good, preview: [upTo, '9', isAll, at].join('-') }],
    ['later tasks too', { ...good, preview: [Number(upTo) + 100, count, isAll, at].join('-') }],
    ['another time', { ...good, preview: [upTo, count, isAll, Number(at) + 60_000].join('-') }],
    ['the signature of another preview', { ...good, signature: another.signature! }],
    ['no signature', { ...wish, preview: preview! } as Record<string, string>],
    ['no preview', { ...wish, signature: signature! } as Record<string, string>],
    ['a strange preview', { ...good, preview: '1-1-1' }],
    ['a state that there is not', { ...good, state: 'waitng' }],
  ]
  for (const [what, body] of attacks) assert.equal((await post(body)).status, 422, what)
  assert.equal((await post(good, admin)).status, 422, 'somebody else')
  assert.equal((await post(good, viewer)).status, 403)
  // Nothing to be done is nothing to agree to.
  assert.equal(
    (await post({ ...formIn(await look(`${path}?do=cancellation&creator=nobody`)), do: 'cancellation', creator: 'nobody' })).status,
    422,
  )
  for (const query of ['', 'do=none', 'do=stop&state=gone', 'do=stop&exec_type=SOON'])
    assert.equal((await panel.ask({ url: `${path}?${query}`, as: operator })).status, 422, query)
  assert.equal(rows().length, before)
  // A quarter of an hour later.
  const clock = Date.now
  Date.now = () => clock() + 15 * 60_000 + 1
  const late = await post(good).finally(() => {
    Date.now = clock
  })
  assert.deepEqual([late.status, late.headers.location], [303, `${path}?do=cancellation&creator=kim`])
  assert.equal(rows().length, before)
})

test('it is undone by those who may, when it has ended and something is left, once', async () => {
  const [{ task_id: id }] = rows() as [{ task_id: number }]
  const undo = (as = operator) => post({}, as, `${path}/${id}/undo`)
  const said = async () => /<p class="flash[^>]*>[\s\S]*?<span>([^<]*)/.exec(await look(`${path}/${id}`))?.[1]
  assert.equal((await undo(viewer)).status, 403)
  assert.equal((await undo()).status, 303)
  assert.match((await said())!, /is still at it/)
  panel.sql("UPDATE bg_task SET state = 'succeeded', due = NULL, finished_at = 1 WHERE id = ?", id)
  await undo()
  assert.match((await said())!, /changed nothing that is left/)
  panel.sql('INSERT INTO bg_bulk_item (bulk_id, task_id) VALUES (?, 1)', id)
  assert.match(await look(`${path}/${id}`), /\/undo"/)
  assert.doesNotMatch(await look(`${path}/${id}`, viewer), /\/undo"/)
  const [first, second] = await Promise.all([undo(), undo()])
  const made = rows().filter(row => row.undo_of === id)
  assert.equal(made.length, 1)
  assert.equal([first, second].filter(answer => answer.headers.location === `${path}/${made[0]!.task_id}`).length, 1)
  assert.match(await look(`${path}/${id}`), new RegExp(`Undone by[\\s\\S]*#${made[0]!.task_id}`))
  assert.match(await look(`${path}/${made[0]!.task_id}`), new RegExp(`Undoes[\\s\\S]*#${id}`))
  for (const address of [`${path}/1`, `${path}/999`, `${path}/x`])
    assert.equal((await panel.ask({ url: address, as: operator })).status, 404, address)
})
