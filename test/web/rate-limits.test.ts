import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { rateLimits } from '../../app/web/rate-limits.ts'
import { type ListeningPanel, listenPanel } from '../helpers/listening-panel.ts'

let panel: ListeningPanel

before(async () => {
  // Whoever stands in front tells who asks; so addresses of all kinds can ask here.
  panel = await listenPanel({ env: { BGTASK_TRUST_PROXY: '127.0.0.1' } })
})
after(() => panel.close())

const visit = (from: string, url = '/admin/login') => panel.ask({ url, headers: { 'x-forwarded-for': from } })
const exhaust = async (from: (at: number) => string) => {
  for (let at = 0; at < rateLimits.loginPage.max; at++) assert.equal((await visit(from(at))).status, 200, from(at))
}

test('an address that asks too often is told when to come again, and nobody else is', async () => {
  await exhaust(() => '203.0.113.5')
  const refused = await visit('203.0.113.5')
  assert.equal(refused.status, 429)
  const seconds = Number(refused.headers['retry-after'])
  assert.ok(seconds >= 1 && seconds <= rateLimits.loginPage.timeWindow / 1000, `${seconds} s`)
  assert.match(refused.body, /Too many requests in a short time/)
  assert.equal(refused.headers['cache-control'], 'no-store')
  // The same number in another dress.
  assert.equal((await visit('::ffff:203.0.113.5')).status, 429)
  assert.equal((await visit('203.0.113.6')).status, 200)
})

test('of IPv6 the network counts: who has one address of it has all', async () => {
  await exhaust(at => `2001:db8:1:2:${at.toString(16)}::${at.toString(16)}`)
  for (const same of ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:0DB8:0001:0002::9'])
    assert.equal((await visit(same)).status, 429, same)
  for (const other of ['2001:db8:1:3::1', '2001:db8:1:1::1', '2001:db8:2:2::1']) assert.equal((await visit(other)).status, 200, other)
})

test('what one limit has refused is no matter of another, and pages of the application have none of ours', async () => {
  assert.equal((await visit('203.0.113.5')).status, 429)
  assert.equal((await visit('203.0.113.5', '/healthz')).status, 200)
  for (let at = 0; at < rateLimits.loginPage.max + 5; at++) assert.equal((await visit('203.0.113.5', '/demo')).status, 303)
})
