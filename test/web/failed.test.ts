import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { claimTask } from '../../app/store/claim-task.ts'
import { endOnce } from '../../app/store/end-once.ts'
import { listErrors } from '../../app/store/errors.ts'
import { afterOnce } from '../../app/task/after-once.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { runEnd } from '../helpers/run-end.ts'
import { owner } from '../store/new-task.ts'

let panel: ListeningPanel
let operator: SignedIn
let viewer: SignedIn
before(async () => {
  panel = await listenPanel()
  operator = await panel.signIn('operator')
  viewer = await panel.signIn('viewer')
})
after(() => panel.close())

const fail = async (says: string, options: object = {}) => {
  const { db } = panel.background
  const task = await panel.background.addTask('test/ok', {}, options)
  const claimed = (await claimTask(db, task, owner, Date.now()))!
  const end = runEnd('failed', Date.now(), { content: says, exitCode: 1 })
  await endOnce(db, task.id, claimed.number, end, task => afterOnce(task, end, Date.now(), 0))
  return task.id
}
const look = async (url: string, as = operator) => (await panel.ask({ url, as })).body
const linksIn = (body: string) =>
  [...body.matchAll(/href="([^"]*recovery[^"]*)"/g)].map(found => found[1]!.replaceAll('&amp;', '&').replaceAll('&#38;', '&'))

test('what failed is shown by error, escaped, and what may be done to it only to those who may', async () => {
  assert.match(await look('/admin/core/bgtask/failed'), /Nothing is failed/)
  const first = await fail('order 1 broke <script>alert(1)</script>', { creator: 'kim' })
  await fail('order 2 broke <script>alert(1)</script>', { creator: 'li' })
  const body = await look('/admin/core/bgtask/failed')
  assert.match(body, /order 2 broke &#60;script&#62;|order 2 broke &lt;script&gt;/)
  assert.equal(body.includes('<script>alert'), false)
  const [error] = await listErrors(panel.background.db, { limit: 5 })
  assert.equal(error!.count, 2)
  assert.deepEqual(linksIn(body), [
    '/admin/core/bgtask/recovery?do=retry',
    '/admin/core/bgtask/recovery?do=discard',
    `/admin/core/bgtask/recovery?do=retry&error=${error!.key}`,
    `/admin/core/bgtask/recovery?do=discard&error=${error!.key}`,
  ])
  assert.deepEqual(linksIn(await look('/admin/core/bgtask/failed', viewer)), [])
  assert.match(await look(`/admin/core/bgtask?state=failed&error=${error!.key}`), new RegExp(`#${first}<`))
})

test('the list offers it for all only where the same filter can be told', async () => {
  assert.deepEqual(linksIn(await look('/admin/core/bgtask?state=failed&creator=kim')), [
    '/admin/core/bgtask/recovery?do=retry&creator=kim',
    '/admin/core/bgtask/recovery?do=discard&creator=kim',
  ])
  for (const more of ['text=order', 'unique=x', 'exec_type=ONCE'])
    assert.deepEqual(linksIn(await look(`/admin/core/bgtask?state=failed&${more}`)), [])
  assert.deepEqual(linksIn(await look('/admin/core/bgtask?creator=kim')), [])
  assert.deepEqual(linksIn(await look('/admin/core/bgtask?state=failed', viewer)), [])
})

test('before anything is done the page says to how many, and then a task of its own does it', async () => {
  const body = await look('/admin/core/bgtask/recovery?do=discard&creator=kim')
  assert.match(body, /1 failed task fits/)
  assert.match(body, /cannot be undone/)
  assert.match(await look('/admin/core/bgtask/recovery?do=retry&creator=nobody'), /No failed task is like that/)
  const asked = await panel.ask({
    method: 'POST',
    url: '/admin/core/bgtask/recovery',
    as: operator,
    body: { do: 'discard', creator: 'kim', unknown: 'x' },
  })
  assert.equal(asked.status, 303)
  const [, id] = /\/admin\/core\/bgtask\/(\d+)$/.exec(String(asked.headers.location))!
  const { action, params, creator } = panel.sql('SELECT action, params, creator FROM bg_task WHERE id = ?', Number(id))[0]!
  assert.deepEqual([action, creator], ['core/recover', 'operator'])
  const { failedBefore, ...wish } = JSON.parse(String(params))
  assert.deepEqual(wish, { do: 'discard', filter: { creator: 'kim' } })
  assert.ok(Math.abs(failedBefore - Date.now()) < 60_000)
})

test('an address that says nothing of the kind is refused, and adds nothing', async () => {
  const tasks = () => panel.sql('SELECT COUNT(*) AS n FROM bg_task')[0]!.n
  const before = tasks()
  const strange: Record<string, string>[] = [{}, { do: 'delete' }, { do: 'retry', error: 'x' }, { do: 'retry', error: "' OR 1=1 --" }]
  for (const body of strange) {
    assert.equal((await panel.ask({ method: 'POST', url: '/admin/core/bgtask/recovery', as: operator, body })).status, 422)
    const { status } = await panel.ask({
      url: `/admin/core/bgtask/recovery?${new URLSearchParams(body)}`,
      as: operator,
    })
    assert.equal(status, 422)
  }
  for (const before of ['x', '1-', '1-zz', "1-'"])
    assert.equal((await panel.ask({ url: `/admin/core/bgtask/failed?before=${before}`, as: operator })).status, 200)
  assert.equal(tasks(), before)
})
