import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listAudit } from '../../app/store/audit.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { type ListeningPanel, type SignedIn, tokenIn } from '../helpers/listening-panel.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { ageProof, holdStill, openPanel } from '../helpers/open-panel.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const debug = '/admin/core/bgtask/debug'
const late = 300_001

const post = (panel: ListeningPanel, url: string, as: SignedIn, body: Record<string, string> | [string, string][]) =>
  panel.ask({
    method: 'POST',
    url,
    as,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: panel.origin },
    body: new URLSearchParams([['_csrf', as.csrf], ...(Array.isArray(body) ? body : Object.entries(body))]).toString(),
  })

const acts = async (panel: ListeningPanel) => (await listAudit(panel.background.db, { limit: 200 })).map(({ act }) => act)

test('a session that was left open debugs nothing: the password comes first, and then what was asked for', { timeout: 60_000 }, async t => {
  const panel = await openPanel(t)
  const who = await panel.signIn('operator')
  const task = await panel.background.addTask('test/logs')
  // Signing in counts.
  assert.match((await post(panel, debug, who, { id: String(task.id) })).body, /It ended/)
  ageProof(panel, who, late)
  const sent: [string, string][] = [
    ['id', String(task.id)],
    ['limit_s', '300'],
    ['twice', 'one'],
    ['twice', 'two'],
    ['"><script>alert(1)</script>', '"><img src=x onerror=alert(1)>\nline two'],
    ['password', 'must not lie in a page'],
  ]
  const before = (await acts(panel)).filter(act => act === 'debug-run').length
  const asked = await post(panel, debug, who, sent)
  assert.equal(asked.status, 403)
  assert.match(asked.body, new RegExp(`<form method="post" action="${debug}"`))
  assert.deepEqual(hiddenFields(asked.body), [['_csrf', tokenIn(asked.body)], ...sent.slice(0, 5)])
  assert.doesNotMatch(asked.body, /must not lie|<script>alert|<img src=x/)
  assert.equal((await acts(panel)).filter(act => act === 'debug-run').length, before, 'nothing was done')

  for (const proof_password of ['wrong password', '']) {
    const again = await post(panel, debug, who, [...sent, ['proof_password', proof_password]])
    assert.equal(again.status, 401)
    assert.deepEqual(hiddenFields(again.body).slice(1), sent.slice(0, 5), 'no field is lost')
    assert.doesNotMatch(again.body, /wrong password/)
  }
  // The token is asked for all the same, and a password of somebody else is none.
  const page = hiddenFields(asked.body)
  const unsigned = await panel.ask({ method: 'POST', url: debug, as: { ...who, csrf: 'x' }, body: { id: '1', proof_password: password } })
  assert.equal(unsigned.status, 403)
  assert.match(unsigned.body, /form was too old/)
  const fields = page.filter(([name]) => name !== '_csrf')
  const done = await post(panel, debug, { ...who, csrf: tokenIn(asked.body) }, [...fields, ['proof_password', password]])
  assert.equal(done.status, 200)
  assert.match(done.body, /It ended/)
  // It counts for five minutes from then on, also though that answer was streamed.
  assert.match((await post(panel, debug, who, { id: String(task.id) })).body, /It ended/)
  const all = await acts(panel)
  assert.deepEqual(
    ['proved', 'proof-failed', 'debug-run'].map(act => all.filter(one => one === act).length),
    [1, 2, 3],
  )
})

test('a page that needs it asks in place, and goes there afterwards and nowhere else', async t => {
  const panel = await openPanel(t)
  const who = await panel.signIn('viewer')
  const page = '/admin/account/second-factor'
  ageProof(panel, who, late)
  const asked = await panel.ask({ url: `${page}?x=1`, as: who })
  assert.equal(asked.status, 403)
  assert.match(asked.body, /Is it still you\?/)
  assert.deepEqual(hiddenFields(asked.body)[1], ['next', `${page}?x=1`])
  const proved = await post(panel, '/admin/prove', who, { next: `${page}?x=1`, proof_password: password })
  assert.deepEqual([proved.status, proved.headers.location], [303, `${page}?x=1`])
  assert.equal((await panel.ask({ url: page, as: who })).status, 200)
  for (const next of ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)', '']) {
    const answer = await post(panel, '/admin/prove', who, { next, proof_password: password })
    assert.deepEqual([answer.status, answer.headers.location], [303, '/admin'], next)
  }
  ageProof(panel, who, late - 10_000)
  assert.equal((await panel.ask({ url: page, as: who })).status, 200, 'four minutes and fifty seconds')
  ageProof(panel, who, 10_000)
  assert.equal((await panel.ask({ url: page, as: who })).status, 403)
  // Other pages do not ask.
  assert.equal((await panel.ask({ url: '/admin/account', as: who })).status, 200)
})

test('who sits at somebody’s open panel guesses slowly, and the owner is not thrown out', async t => {
  const panel = await openPanel(t)
  const who = await panel.signIn('operator')
  ageProof(panel, who, late)
  for (let tries = 0; tries < 5; tries++)
    assert.equal((await post(panel, '/admin/prove', who, { proof_password: 'wrong password' })).status, 401)
  holdStill(panel)
  const answer = await post(panel, '/admin/prove', who, { proof_password: password })
  assert.equal(answer.status, 429)
  assert.ok(Number(answer.headers['retry-after']) >= 1)
  assert.equal((await panel.ask({ url: '/admin/account', as: who })).status, 200)
  await panel.signIn('operator', { from: '127.0.0.9' })
  panel.sql('UPDATE bg_login_failure SET last_at = last_at - 120000')
  assert.equal((await post(panel, '/admin/prove', who, { proof_password: password })).status, 303)
})

test('every route that says so asks', async t => {
  const panel = await openPanel(t)
  const admin = await panel.signIn('admin')
  const fresh = panel.routes.filter(route => route.fresh)
  assert.ok(
    fresh.some(({ name }) => name === `POST ${debug}`),
    'debug runs',
  )
  ageProof(panel, admin, late)
  for (const { method, url } of fresh) {
    const address = url.replaceAll(/:\w+/g, '1')
    const answer = method === 'GET' ? await panel.ask({ url: address, as: admin }) : await post(panel, address, admin, {})
    assert.equal(answer.status, 403, `${method} ${url}`)
    assert.match(answer.body, /Is it still you\?/, `${method} ${url}`)
  }
})

test('in a browser: asked in the middle of it, nothing typed is lost', { skip: chromiumMissing(), timeout: 60_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const { page, problems } = await openBrowser(t, { script: false })
  await page.goto(`${panel.address}/admin/login`)
  await page.fill('#f-name', 'admin')
  await page.fill('#f-password', password)
  await page.click('main button')
  await page.goto(`${panel.address}${debug}?id=1`)
  const { openDatabase } = await import('../../app/store/database.ts')
  const db = await openDatabase(`sqlite:${panel.runtime}/bgtask.sqlite`)
  await db.kysely
    .updateTable('bg_session')
    .set({
      data: (
        await db.kysely.selectFrom('bg_session').select('data').where('user_id', 'is not', null).executeTakeFirstOrThrow()
      ).data.replace(/"provedAt":\d+/, '"provedAt":1'),
    })
    .where('user_id', 'is not', null)
    .execute()
  await db.close()
  await page.fill('#f-id', '77')
  await page.selectOption('#f-limit', '1800')
  await page.click('main button')
  await page.locator('h1', { hasText: 'Is it still you?' }).waitFor()
  await page.fill('#f-password', password)
  await page.click('main button')
  assert.match(await page.locator('[role=alert]').innerText(), /Task 77 does not exist/)
  assert.equal(await page.locator('#f-limit').inputValue(), '1800')
  assert.deepEqual(
    problems.filter(problem => !/status of 40[34]/.test(problem)),
    [],
  )
})

/** Hidden fields of the form in the page, as a browser would send them. */
const hiddenFields = (html: string): [string, string][] => {
  const form = /<main[\s\S]*<\/main>/.exec(html)![0]
  const text = (value: string) =>
    value.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
  return [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(found => [text(found[1]!), text(found[2]!)])
}
