import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, cookieOf, freshAddress, type ListeningPanel, listenPanel, tokenIn } from '../helpers/listening-panel.ts'

/** No form, and no session in place of the one that the browser may have kept back. */
const asksOnceMore = ({ status, headers, body }: Answer) => {
  assert.equal(status, 200)
  assert.equal(tokenIn(body), '')
  assert.doesNotMatch((headers['set-cookie'] ?? []).join(), /^(__Host-)?bgtask(-[0-9a-f]{12})?=/)
  return true
}
const visit = (panel: ListeningPanel, path: string, headers: Record<string, string> = {}) =>
  panel.ask({ url: path, headers, from: freshAddress() })

const pages = ['/admin/login', '/admin/login/link']

test('where a browser says where it comes from, only a link elsewhere is asked once more', async t => {
  const panel = await listenPanel()
  t.after(panel.close)
  for (const path of pages) {
    asksOnceMore(await visit(panel, path, { 'sec-fetch-site': 'cross-site' }))
    for (const site of ['none', 'same-origin'])
      assert.notEqual(tokenIn((await visit(panel, path, { 'sec-fetch-site': site })).body), '', site)
    assert.notEqual(tokenIn((await visit(panel, path)).body), '', 'a terminal')
  }
})

test('under a name without TLS a cookie of ours shows that they are not kept back', async t => {
  const panel = await listenPanel({ env: { BGTASK_PUBLIC_URL: 'http://panel.lan' } })
  t.after(panel.close)
  for (const path of pages) {
    const first = await visit(panel, path)
    asksOnceMore(first)
    const marker = cookieOf(first)
    assert.equal(marker, 'bgtask-here=1')
    assert.match(String(first.headers['set-cookie']), /SameSite=Strict/)
    assert.notEqual(tokenIn((await visit(panel, path, { cookie: marker })).body), '')
    // Cookies of others on this name come along from everywhere.
    asksOnceMore(await visit(panel, path, { cookie: 'shop=1; not-bgtask-here=1' }))
    // This machine's own names are trustworthy, so a browser would say something.
    assert.notEqual(tokenIn((await visit(panel, path, { host: `127.0.0.1:${panel.port}` })).body), '')
  }
  // A browser without cookies does not go round and round.
  assert.match((await visit(panel, '/admin/login')).body, /http-equiv="refresh"/)
  assert.doesNotMatch((await visit(panel, '/admin/login?again')).body, /http-equiv="refresh"/)
})
