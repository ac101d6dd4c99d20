import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type TestContext, test } from 'node:test'
import { mostWaiting } from '../../app/api/hash-password.ts'
import { changePassword } from '../../app/api/users.ts'
import { listAudit } from '../../app/store/audit.ts'
import { mostPerMinute } from '../../app/web/login-wait.ts'
import { run, runWithInput } from '../cli/run.ts'
import { password } from '../helpers/browser.ts'
import { freePort } from '../helpers/free-port.ts'
import { type Answer, cookieOf, type ListeningPanel, tokenIn } from '../helpers/listening-panel.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { holdStill, openPanel } from '../helpers/open-panel.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

/** A panel behind a proxy of ours, which says by X-Forwarded-For who asks. */
const behindProxy = async (t: TestContext) => {
  const port = await freePort()
  const panel = await openPanel(t, { env: { BGTASK_TRUST_PROXY: '127.0.0.1' }, port })
  /** @param known a cookie that the browser has from before */
  const tryLogin = async (name: string, given: string, { from = '192.0.2.1', known = '' } = {}): Promise<Answer> => {
    const headers = { 'x-forwarded-for': from }
    const form = await panel.ask({ url: '/admin/login', headers: { ...headers, cookie: known } })
    const cookie = [cookieOf(form), known].filter(Boolean).join('; ')
    return panel.ask({
      method: 'POST',
      url: '/admin/login',
      body: { name, password: given },
      as: { cookie, csrf: tokenIn(form.body) },
      headers,
    })
  }
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: panel.runtime, PORT: String(panel.port) }
  return { panel, tryLogin, env }
}

/** What the known device carries, without the session. */
const deviceCookieOf = (answer: Answer) => {
  const all = (answer.headers['set-cookie'] ?? []).map(text => text.split(';')[0]!)
  return all.find(text => text.startsWith('known-bgtask-')) ?? assert.fail(`no device cookie in ${all}`)
}

const passSeconds = (panel: ListeningPanel, seconds: number) =>
  panel.sql('UPDATE bg_login_failure SET last_at = last_at - ? WHERE subject NOT LIKE ?', seconds * 1000, 'all:%')

const address = (n: number) => `198.51.${n >> 8}.${n & 255}`

test('who hammers an account from many addresses keeps strangers waiting, and never its owner', { timeout: 120_000 }, async t => {
  const { panel, tryLogin, env } = await behindProxy(t)
  const first = await tryLogin('admin', password, { from: '203.0.113.9' })
  assert.equal(first.status, 303)
  const known = deviceCookieOf(first)
  const viewers = deviceCookieOf(await tryLogin('viewer', password, { from: '203.0.113.10' }))

  // A minute of it: five tries a second, each from an address of its own.
  let n = 0
  const statuses: number[] = []
  for (let second = 0; second < 60; second++) {
    const tries = await Promise.all([1, 2, 3, 4, 5].map(() => tryLogin('admin', 'wrong password', { from: address(n++) })))
    statuses.push(...tries.map(({ status }) => status))
    passSeconds(panel, 1)
  }
  const looked = statuses.filter(status => status === 401).length
  assert.ok(looked >= 5 && looked <= 12, `${looked} of 300 guesses were looked at`)
  assert.equal(statuses.filter(status => status === 429).length, 300 - looked)

  holdStill(panel)
  // A stranger waits, also with the right password and with cookies that are not the owner's.
  const forged = `${known.slice(0, -4)}AAAA`
  const renamed = viewers.replace(/-\d+=/, `${/-\d+=/.exec(known)![0]}`)
  for (const other of ['', viewers, forged, renamed, known.replace(/=.*/, '=')]) {
    const answer = await tryLogin('admin', password, { from: address(n++), known: other })
    assert.equal(answer.status, 429, other)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
  }
  // The owner's browser is let in at once, wherever it is now.
  const began = performance.now()
  assert.equal((await tryLogin('admin', password, { from: address(n++), known })).status, 303)
  assert.ok(performance.now() - began < 3_000)

  // Having signed in made the account free again; the attack goes on, and the owner sits at another machine, but has the shell.
  for (let tries = 0; tries < 12; tries++) await tryLogin('admin', 'wrong password', { from: address(n++) })
  holdStill(panel)
  assert.equal((await tryLogin('admin', password, { from: address(n++) })).status, 429)
  const made = await run(env, 'user', 'link', 'admin')
  assert.equal(made.code, 0, made.stderr)
  const link = new URL(made.stdout.trim())
  assert.equal(link.origin + link.pathname, `${panel.origin}/admin/login/link`)
  const visit = await panel.ask({ url: '/admin/login/link' })
  assert.equal(visit.status, 200, 'looking at it does not use it up')
  const use = async () => {
    const form = await panel.ask({ url: '/admin/login/link' })
    const as = { cookie: cookieOf(form), csrf: tokenIn(form.body) }
    return panel.ask({ method: 'POST', url: '/admin/login/link', body: { token: link.hash.slice(1) }, as })
  }
  const both = await Promise.all([use(), use()])
  assert.deepEqual(both.map(({ status }) => status).sort(), [303, 410])
  const signedIn = both.find(({ status }) => status === 303)!
  assert.equal((await panel.ask({ url: '/admin/account', headers: { cookie: cookieOf(signedIn) } })).status, 200)
  assert.doesNotMatch(JSON.stringify(panel.sql('SELECT * FROM bg_once_link')), new RegExp(link.hash.slice(1)))

  // A new password from the shell ends the delay, too.
  for (let tries = 0; tries < 12; tries++) await tryLogin('admin', 'wrong password', { from: address(n++) })
  const changed = await runWithInput(env, 'ten grey herons at noon\n', 'user', 'passwd', 'admin', '--password-stdin')
  assert.equal(changed.code, 0, changed.stderr)
  assert.equal((await tryLogin('admin', 'ten grey herons at noon', { from: address(n++) })).status, 303)

  const acts = await listAudit(panel.background.db, { limit: 1_000 })
  const count = (act: string, via: string) => acts.filter(row => row.act === act && row.via === via).length
  assert.ok(count('login-failed', 'form') >= looked)
  assert.deepEqual([count('login', 'link'), count('login-failed', 'link'), count('login-link-made', 'command-line')], [1, 1, 1])
})

test('the cookie of a known device is no login, ends with the password, and has a delay of its own', async t => {
  const { panel, tryLogin } = await behindProxy(t)
  const first = await tryLogin('operator', password, { from: '203.0.113.9' })
  const known = deviceCookieOf(first)
  const line = first.headers['set-cookie']!.find(text => text.startsWith('known-bgtask-'))!
  assert.match(line, /; Path=\/; HttpOnly; SameSite=Strict$/)
  assert.equal((await panel.ask({ url: '/admin/account', headers: { cookie: known } })).status, 303)

  // A thief who has it guesses no faster than a stranger, and delays nobody else by it.
  for (let tries = 0; tries < 5; tries++) assert.equal((await tryLogin('operator', 'wrong password', { known })).status, 401)
  holdStill(panel)
  assert.equal((await tryLogin('operator', 'wrong password', { known })).status, 429)
  assert.equal((await tryLogin('operator', password, { known })).status, 429)
  const another = await tryLogin('operator', password, { from: '203.0.113.11' })
  assert.equal(another.status, 303)

  const knownToo = deviceCookieOf(another)
  await changePassword(panel.background.db, 'operator', 'nine green herons at dusk')
  for (let tries = 0; tries < 6; tries++) await tryLogin('operator', 'wrong password', { from: address(tries) })
  holdStill(panel)
  assert.equal(
    (await tryLogin('operator', 'nine green herons at dusk', { known: knownToo })).status,
    429,
    'it was given for the old password',
  )
})

test('beyond the ceiling of a minute strangers wait, and who is known does not', async t => {
  const { panel, tryLogin } = await behindProxy(t)
  const known = deviceCookieOf(await tryLogin('admin', password))
  const minute = Math.floor(Date.now() / 60_000)
  for (const n of [minute, minute + 1, minute + 2])
    panel.sql(
      'INSERT OR REPLACE INTO bg_login_failure (subject, failures, last_at) VALUES (?, ?, ?)',
      `all:${n}`,
      mostPerMinute,
      Date.now(),
    )
  const answer = await tryLogin('viewer', password, { from: address(1) })
  assert.equal(answer.status, 429)
  assert.ok(Number(answer.headers['retry-after']) <= 60)
  assert.equal((await tryLogin('admin', password, { known, from: address(2) })).status, 303)
})

test('a link elsewhere that leads to the login link takes nobody’s session away', async t => {
  const panel = await openPanel(t)
  const answer = await panel.ask({ url: '/admin/login/link', headers: { 'sec-fetch-site': 'cross-site' } })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['set-cookie'], undefined)
  assert.doesNotMatch(answer.body, /<form/)
})

test('from a mail to the login link in a browser: the token comes along, and nobody sees it', { skip: chromiumMissing() }, async t => {
  const panel = await openPanel(t)
  const { page, problems } = await openBrowser(t)
  const asked: string[] = []
  page.on('request', request => asked.push(request.url()))
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: panel.runtime, PORT: String(panel.port) }
  const link = new URL((await run(env, 'user', 'link', 'viewer')).stdout.trim())
  const mail = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(`<a href="${link}">sign in</a>`))
  await once(mail.listen(0, '127.0.0.1'), 'listening')
  t.after(() => mail.close())
  // Another name of this machine is another site.
  await page.goto(`http://localhost:${(mail.address() as { port: number }).port}/`)
  await page.click('a')
  await page.locator('#f-token').waitFor({ state: 'attached' })
  await until('the token is in the form', async () => (await page.inputValue('#f-token')) !== '')
  assert.equal(page.url(), `${panel.origin}/admin/login/link`)
  await page.click('main button')
  await page.waitForURL('**/admin')
  assert.ok(asked.every(url => !new URL(url).search.includes(link.hash.slice(1))))
  assert.deepEqual(
    problems.filter(problem => /Content Security Policy/.test(problem)),
    [],
  )
})

test('of many guesses at once no more are looked at than one after the other', async t => {
  const { tryLogin } = await behindProxy(t)
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => tryLogin('admin', 'wrong password', { from: address(n) })))
  const looked = answers.filter(({ status }) => status === 401).length
  // Five, and one or two more when all this takes seconds.
  assert.ok(looked >= 5 && looked <= 8, `${looked}`)
  assert.equal(answers.filter(({ status }) => status === 429).length, 30 - looked)
})

test('an account of one’s own does not make the address forget', async t => {
  const { panel, tryLogin } = await behindProxy(t)
  const from = '198.51.100.7'
  for (let n = 0; n < 10; n++) {
    assert.equal((await tryLogin(`somebody${n}`, 'wrong password', { from })).status, 401)
    if (n % 3 === 2) assert.equal((await tryLogin('viewer', password, { from })).status, 303)
  }
  holdStill(panel)
  assert.equal((await tryLogin('somebody', 'wrong password', { from })).status, 429)
})

test('a flood of logins does not pile up: the rest is told to come again, and who is known is served first', {
  timeout: 60_000,
}, async t => {
  const { panel, tryLogin } = await behindProxy(t)
  const known = deviceCookieOf(await tryLogin('admin', password))
  const order: string[] = []
  const flood = Array.from({ length: 60 }, (_, n) =>
    tryLogin(`nobody${n}`, 'wrong password', { from: address(n) }).then(answer => {
      order.push('stranger')
      return answer
    }),
  )
  // Not before the queue is full.
  await Promise.race(flood)
  const owner = tryLogin('admin', password, { known }).then(answer => {
    order.push('owner')
    return answer
  })
  const answers = await Promise.all(flood)
  assert.equal((await owner).status, 303)
  const busy = answers.filter(({ status }) => status === 503)
  assert.ok(busy.length > 0, 'some are told that it is too much')
  assert.ok(answers.every(({ status }) => status === 401 || status === 503))
  assert.ok(answers.length - busy.length >= mostWaiting.anybody)
  for (const { headers, body } of busy) {
    assert.equal(headers['retry-after'], '5')
    assert.match(body, /Try again in a few seconds/)
  }
  const before = order.slice(order.length - (answers.length - busy.length)).indexOf('owner')
  assert.ok(before >= 0 && order.indexOf('owner') < order.length - 10, `the owner came ${order.indexOf('owner')} of ${order.length}`)
  // Who was not looked at has not failed.
  const counted = panel.sql("SELECT failures FROM bg_login_failure WHERE subject LIKE 'user:nobody%' AND failures > 0").length
  assert.equal(counted, answers.length - busy.length)
})

test('who looks at the login page, or gives a wrong password, makes no session in the table', async t => {
  const panel = await openPanel(t)
  const rows = () => panel.sql('SELECT id_hash FROM bg_session').length
  const before = rows()
  const form = await panel.ask({ url: '/admin/login' })
  const cookie = cookieOf(form)
  assert.match(cookie, /bgtask-/)
  const again = await panel.ask({ url: '/admin/login', headers: { cookie } })
  const as = { cookie, csrf: tokenIn(again.body) }
  const post = (password: string, csrf = as.csrf) =>
    panel.ask({ method: 'POST', url: '/admin/login', body: { name: 'admin', password }, as: { cookie, csrf } })
  assert.equal((await post('not this one at all')).status, 401)
  const strange = await panel.ask({ url: '/admin/login' })
  assert.equal((await post('not this one at all', tokenIn(strange.body))).status, 403, 'the form of another session')
  assert.equal(rows(), before)
  assert.equal((await post('not this one at all', tokenIn(form.body))).status === 403, false, 'the first form still fits')
  assert.equal(rows(), before)
})

test('a hash made at other costs is made anew at the next login, and nothing else changes', async t => {
  const panel = await openPanel(t)
  // From the test vectors of the reference implementation: two passes.
  const old = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  panel.sql('UPDATE bg_user SET password_hash = ? WHERE name = ?', old, 'viewer')
  const row = () => panel.sql('SELECT password_hash, password_changed_at FROM bg_user WHERE name = ?', 'viewer')[0]!
  const before = row()
  const open = await panel.signIn('viewer', { password: 'password' })
  assert.match(String(row().password_hash), /^\$argon2id\$v=19\$m=65536,t=3,p=1\$/)
  assert.equal(row().password_changed_at, before.password_changed_at)
  await panel.signIn('viewer', { password: 'password', from: '127.0.0.2' })
  assert.equal((await panel.ask({ url: '/admin/account', as: open })).status, 200, 'the session goes on')
})

test('a session: a new id at login, hashed at rest, with where it is from; over after 30 minutes idle or 12 hours', async t => {
  const panel = await openPanel(t)
  const form = await panel.ask({ url: '/admin/login' })
  const planted = cookieOf(form)
  const answer = await panel.ask({
    method: 'POST',
    url: '/admin/login',
    body: { name: 'admin', password },
    as: { cookie: planted, csrf: tokenIn(form.body) },
    headers: { 'user-agent': `Browser/1 ${'x'.repeat(400)}` },
    from: '127.0.0.3',
  })
  const cookie = cookieOf(answer)
  assert.equal((await panel.ask({ url: '/admin/account', headers: { cookie: planted } })).status, 303, 'the id from before opens nothing')
  const id = decodeURIComponent(/(?:^|; )bgtask-[^=]+=([^;]+)/.exec(cookie)![1]!).replace(/\.[^.]+$/, '')
  const stored = () => panel.sql('SELECT * FROM bg_session WHERE id_hash = ?', createHash('sha256').update(id).digest('hex'))[0]
  assert.equal(stored()?.ip, '127.0.0.3')
  assert.match(String(stored()?.user_agent), /^Browser\/1 x{245}$/)
  assert.doesNotMatch(JSON.stringify(panel.sql('SELECT * FROM bg_session')), new RegExp(id))
  const { expires_at: until, seen_at: seen, created_at: created } = stored() as Record<string, number>
  assert.deepEqual([until! - seen!, seen! >= created!], [30 * 60_000, true])

  const see = async () => (await panel.ask({ url: '/admin/account', headers: { cookie } })).status
  // Eleven hours and fifty minutes on, with visits all the way: ten minutes are left.
  const shift = 11 * 3_600_000 + 50 * 60_000
  panel.sql(
    `UPDATE bg_session SET created_at = created_at - ?1, seen_at = seen_at - 120000,
       data = json_set(data, '$.signedInAt', json_extract(data, '$.signedInAt') - ?1) WHERE id_hash = ?2`,
    shift,
    String(stored()!.id_hash),
  )
  assert.equal(await see(), 200)
  const left = Number(stored()!.expires_at) - Date.now()
  assert.ok(left > 9 * 60_000 && left <= 10 * 60_000, `${left}`)
  panel.sql('UPDATE bg_session SET expires_at = ? WHERE id_hash = ?', Date.now(), String(stored()!.id_hash))
  assert.equal(await see(), 303)
  assert.equal(stored(), undefined)
})

test('a new password ends all other sessions, and this one goes on under a new id', async t => {
  const panel = await openPanel(t)
  const here = await panel.signIn('viewer')
  const there = await panel.signIn('viewer', { from: '127.0.0.2' })
  const bystander = await panel.signIn('admin')
  const fresh = 'nine green herons at dusk'
  const answer = await panel.ask({
    method: 'POST',
    url: '/admin/account',
    as: here,
    body: { current: password, password: fresh, repeated: fresh },
  })
  assert.equal(answer.status, 303, answer.body)
  const left = "SELECT id_hash FROM bg_session WHERE user_id = (SELECT id FROM bg_user WHERE name = 'viewer')"
  assert.equal(panel.sql(left).length, 1, 'none is left lying there')
  const see = async (cookie: string) => (await panel.ask({ url: '/admin/account', headers: { cookie } })).status
  assert.deepEqual(
    [await see(here.cookie), await see(there.cookie), await see(bystander.cookie), await see(cookieOf(answer))],
    [303, 303, 200, 200],
  )
})

test('what people do at the door is in the audit, and without the audit nobody comes in', async t => {
  const panel = await openPanel(t)
  const viewer = await panel.signIn('viewer', { from: '127.0.0.4' })
  await panel.ask({ method: 'POST', url: '/admin/logout', as: viewer, body: {}, from: '127.0.0.4' })
  await assert.rejects(panel.signIn('viewer', { password: 'wrong password', from: '127.0.0.4' }), /401/)
  const rows = (await listAudit(panel.background.db, { limit: 3 })).map(({ act, userName, ip, via, subject }) => [
    act,
    userName,
    ip,
    via,
    subject,
  ])
  assert.deepEqual(rows, [
    ['login-failed', null, '127.0.0.4', 'form', 'viewer'],
    ['logout', 'viewer', '127.0.0.4', 'form', null],
    ['login', 'viewer', '127.0.0.4', 'form', null],
  ])
  panel.sql('ALTER TABLE bg_audit RENAME TO bg_audit_away')
  await assert.rejects(panel.signIn('viewer', { from: '127.0.0.5' }), /is not let in: 500/)
  assert.equal(panel.sql('SELECT * FROM bg_session WHERE user_id IS NOT NULL').length, 0)
})
