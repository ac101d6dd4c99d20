import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let admin: SignedIn
let viewer: SignedIn

before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
  viewer = await panel.signIn('viewer')
})
after(() => panel.close())

/** Where an error page leads on. */
const waysOn = (html: string) =>
  [...(/<div class="narrow-page[\s\S]*$/.exec(html)?.[0] ?? '').matchAll(/<a class="button[^"]*" href="([^"]+)"/g)].map(([, to]) => to)

test('what is not there leads to the list in which it would be, and to the overview', async () => {
  for (const [url, status, ways] of [
    ['/admin/nowhere', 404, ['/admin']],
    ['/admin/core/bgtask/999', 404, ['/admin/core/bgtask', '/admin']],
    ['/admin/core/bgtask?after=x', 422, ['/admin/core/bgtask', '/admin']],
    ['/admin/core/bgtask/recovery?do=x', 422, ['/admin/core/bgtask/failed', '/admin']],
    ['/admin/core/commands/none', 404, ['/admin/core/commands', '/admin']],
    ['/admin/config/schedules/99', 404, ['/admin/config/schedules', '/admin']],
    ['/admin/config/system/cron/queues/none', 404, ['/admin/config/system/cron', '/admin']],
    ['/admin/config/users/99', 404, ['/admin/config/users', '/admin']],
    ['/admin/core/bgtask/1/retry', 405, ['/admin/core/bgtask', '/admin']],
  ] as const) {
    const answer = await panel.ask({ url, as: admin })
    assert.deepEqual([answer.status, waysOn(answer.body)], [status, ways], url)
  }
  // Who may not see it is not led there.
  const refused = await panel.ask({ url: '/admin/config/users/99', as: viewer })
  assert.deepEqual([refused.status, waysOn(refused.body)], [403, ['/admin']])
})

test('a form that is too old leads back to the page on which it stood; another site’s page is never linked', async () => {
  const from = async (referer: string | null) => {
    const answer = await panel.ask({
      method: 'POST',
      url: '/admin/core/bgtask',
      as: { ...admin, csrf: 'old' },
      body: { action: 'test/ok' },
      headers: referer === null ? {} : { referer },
    })
    assert.equal(answer.status, 403)
    assert.match(answer.body, /Go back, reload the page and send it again/)
    return waysOn(answer.body)
  }
  const { origin } = panel
  assert.deepEqual(await from(`${origin}/admin/core/bgtask/new?action=test/ok`), ['/admin/core/bgtask/new?action=test%2Fok', '/admin'])
  assert.deepEqual(await from(`${origin}/admin`), ['/admin'])
  for (const referer of [
    null,
    'http://evil.example/admin/core/bgtask',
    `http://evil.example@${new URL(origin).host}.evil.example/admin`,
    `${origin}//evil.example/admin`,
    `${origin}/elsewhere`,
    'javascript:alert(1)',
    'not an address',
    `${origin}/admin/"><script>`,
  ])
    assert.deepEqual(await from(referer), ['/admin'], String(referer))
})
