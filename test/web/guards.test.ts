import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { type Background, openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { hold, releaseHold } from '../../app/runs/flags.ts'
import { prepareRuntimeFolder } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { listAudit } from '../../app/store/audit.ts'
import { routeRoles } from '../../app/web/roles.ts'
import { buildServer } from '../../app/web/server.ts'
import { password } from '../helpers/browser.ts'
import { newUser } from '../helpers/new-user.ts'

const host = '127.0.0.1:8080'
const origin = `http://${host}`
const runtime = mkdtempSync(join(tmpdir(), 'bgtask-guards-'))
let background: Background
let app: FastifyInstance
const cookies: Record<string, string> = {}
const tokens: Record<string, string> = {}

before(async () => {
  const config = await loadConfig({ BGTASK_RUNTIME: runtime })
  prepareRuntimeFolder(runtime)
  // Visits of these tests must not start a supervisor.
  hold(runtime, 'the test', Date.now())
  background = await openBackground(config)
  for (const role of ['viewer', 'operator', 'admin'] as const) await newUser(background.db, { name: role, role })
  app = await buildServer(config, { background })
  await app.ready()
  for (const role of ['viewer', 'operator', 'admin']) await signIn(role)
})
after(async () => {
  await app.close()
  await background.close()
  rmSync(runtime, { recursive: true, force: true })
})

const cookieOf = (response: { headers: Record<string, unknown> }) =>
  [response.headers['set-cookie'] ?? []]
    .flat()
    .map(text => String(text).split(';')[0]!)
    .filter(text => !text.startsWith('known-'))
    .join('; ')
const tokenIn = (html: string) => /name="_csrf" value="([^"]+)"/.exec(html)?.[1] ?? ''
const ask = (options: InjectOptions & { headers?: Record<string, string> }) =>
  app.inject({ ...options, headers: { host, ...options.headers } })
const post = (url: string, who: string | null, fields: Record<string, string> = {}, headers: Record<string, string> = {}) =>
  ask({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin, ...(who ? { cookie: cookies[who]! } : {}), ...headers },
    payload: new URLSearchParams({ ...(who ? { _csrf: tokens[who]! } : {}), ...fields }).toString(),
  })

const signIn = async (name: string) => {
  const form = await ask({ url: '/admin/login' })
  const response = await ask({
    method: 'POST',
    url: '/admin/login',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin, cookie: cookieOf(form) },
    payload: new URLSearchParams({ _csrf: tokenIn(form.body), name, password }).toString(),
  })
  assert.equal(response.statusCode, 303, response.body)
  const cookie = cookieOf(response)
  assert.notEqual(cookie, cookieOf(form), 'a new session id at login')
  cookies[name] = cookie
  const page = await ask({ url: '/admin/account', headers: { cookie } })
  tokens[name] = tokenIn(page.body)
}

/** Every route of the table with an address that can be asked for. */
const routes = Object.entries(routeRoles).map(([route, role]) => {
  const [method, url] = route.split(' ') as ['GET' | 'POST', string]
  return { method, role, url: url.replace(':hash', 'x').replace(':name', 'y').replace(':token', 'wrong').replace(':id', '1') }
})
/** The address of cron is asked for by its key alone, and shows no form. */
const forms = routes.filter(({ method, url }) => method === 'POST' && !url.startsWith('/cron'))
const guarded = routes.filter(({ role }) => role !== 'public')

test('without a session: reading leads to the login, changing is refused', async () => {
  for (const { method, url } of guarded) {
    const response = method === 'GET' ? await ask({ url, headers: { accept: 'text/html' } }) : await post(url, null)
    if (method === 'GET') {
      assert.equal(response.statusCode, 303, url)
      assert.match(String(response.headers.location), /^\/admin\/login\?next=/, url)
    } else assert.equal(response.statusCode, 401, url)
  }
  for (const cookie of ['bgtask-x=1', cookies.admin!.replace(/=.{5}/, '=XXXXX'), cookies.admin!.replace(/;|$/, 'x$&')]) {
    assert.equal((await ask({ url: '/admin', headers: { cookie } })).statusCode, 303)
  }
})

test('each role may do what the table says, and no more', async () => {
  const rank = ['viewer', 'operator', 'admin']
  for (const { method, url, role } of guarded) {
    if (url === '/admin/live') continue
    for (const who of rank) {
      const may = rank.indexOf(who) >= rank.indexOf(role)
      // A wrong token for who may: the act itself is not wanted here, only that the role lets it pass to the next guard.
      const response =
        method === 'GET' ? await ask({ url, headers: { cookie: cookies[who]! } }) : await post(url, who, may ? { _csrf: 'wrong' } : {})
      const refusedByRole = response.statusCode === 403 && !/form was too old/.test(response.body)
      assert.equal(refusedByRole, !may, `${who} ${method} ${url}: ${response.statusCode}`)
    }
  }
})

test('a change needs the token of its own session, also where everybody may come in', async () => {
  for (const { url } of forms) {
    for (const fields of [{ _csrf: '' }, { _csrf: 'wrong' }, { _csrf: tokens.viewer! }]) {
      const response = await post(url, 'admin', fields)
      assert.equal(response.statusCode, 403, `${url} ${JSON.stringify(fields)}`)
      assert.match(response.body, /form was too old/)
    }
  }
})

test('a change must come from a page of ours', async () => {
  for (const { url } of forms) {
    const foreign: Record<string, string>[] = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:8081' },
      { origin, 'sec-fetch-site': 'cross-site' },
      { origin, 'sec-fetch-site': 'same-site' },
      { origin, 'sec-fetch-site': 'none' },
      { origin: '' },
    ]
    for (const headers of foreign) {
      const response = await post(url, 'admin', {}, headers)
      assert.equal(response.statusCode, 403, `${url} ${JSON.stringify(headers)}`)
      assert.match(response.body, /another site/)
    }
  }
})

test('a request that names another host is refused before anything else', async () => {
  for (const { method, url } of routes) {
    for (const name of ['evil.example', '127.0.0.1', '127.0.0.1:81', 'localhost.evil.example:8080', '127.0.0.1:8080.evil', '']) {
      const response = await app.inject({ method, url, headers: { host: name, cookie: cookies.admin! } })
      assert.equal(response.statusCode, 421, `${name} ${url}`)
    }
  }
  for (const name of ['localhost:8080', 'LOCALHOST:8080', '[::1]:8080'])
    assert.equal((await app.inject({ url: '/healthz', headers: { host: name } })).statusCode, 200)
})

test('on the wire: two Host headers, none, and a whole address are refused', async () => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const own = `Host: 127.0.0.1:${port}`
  assert.match(await wire(port, `GET /healthz HTTP/1.1\r\n${own}\r\nConnection: close\r\n\r\n`), /^HTTP\/1.1 200/)
  for (const request of [
    `GET /healthz HTTP/1.1\r\n${own}\r\nHost: evil\r\nConnection: close\r\n\r\n`,
    `GET http://127.0.0.1:${port}/healthz HTTP/1.1\r\n${own}\r\nConnection: close\r\n\r\n`,
    'GET /healthz HTTP/1.0\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n',
  ]) {
    assert.match(await wire(port, request), /^HTTP\/1.1 4(21|00)/, request)
  }
})

test('HEAD acts nowhere and is answered by the probes alone', async () => {
  for (const { method, url } of routes) {
    if (method === 'GET' && !url.startsWith('/healthz'))
      assert.equal((await ask({ method: 'HEAD', url, headers: { cookie: cookies.admin! } })).statusCode, 405, url)
  }
})

test('bodies: only forms, not too large; hostile names do no harm', async () => {
  for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
    assert.equal((await post('/admin/login', 'admin', {}, { 'content-type': type })).statusCode, 415)
  }
  assert.equal((await post('/admin/core/bgtask', 'admin', { action: 'x'.repeat(300_000) })).statusCode, 413)
  const response = await ask({
    method: 'POST',
    url: '/admin/preferences',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin, cookie: cookies.admin! },
    payload: `_csrf=${tokens.admin}&__proto__[polluted]=1&constructor.prototype.polluted=1&theme=dark`,
  })
  assert.equal(response.statusCode, 303)
  assert.equal((Object.prototype as Record<string, unknown>).polluted, undefined)
})

test('every answer forbids what a page of ours does not need', async () => {
  const urls = ['/admin/login', '/nowhere', '/healthz', '/admin', '/admin/core/bgtask/99', '/admin/assets/x/y']
  for (const url of [...urls, '/admin/%E0%A4%A', `/admin/${'a'.repeat(5_000)}`]) {
    const { headers } = await ask({ url, headers: { cookie: cookies.admin! } })
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /default-src 'none'/, url)
    assert.doesNotMatch(policy, /unsafe|http:|\*/, url)
    assert.equal(headers['cache-control'], 'no-store', url)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['x-powered-by'], undefined)
  }
  const set = String((await ask({ url: '/admin/login' })).headers['set-cookie'])
  assert.match(set, /HttpOnly; SameSite=Strict/)
})

test('what is not there says so, whatever is asked for', async () => {
  for (const id of ['99', '0', '-1', '1e9', 'x', '9'.repeat(30), '%2e%2e', '..%2f..%2fetc', 'constructor', '__proto__', '1%00']) {
    const response = await ask({ url: `/admin/core/bgtask/${id}`, headers: { cookie: cookies.admin! } })
    assert.ok([400, 404].includes(response.statusCode), `${id}: ${response.statusCode}`)
  }
  assert.match((await ask({ url: '/admin/core/bgtask/99', headers: { cookie: cookies.admin! } })).body, /Task 99 does not exist\./)
  for (const query of [
    'state=%00',
    'after=x',
    'after=-1',
    'before=99999999999999999999',
    'text=%25',
    'text[]=x',
    'state=constructor',
    '__proto__=1',
  ]) {
    const response = await ask({ url: `/admin/core/bgtask?${query}`, headers: { cookie: cookies.admin! } })
    assert.ok([200, 422].includes(response.statusCode), `${query}: ${response.statusCode} ${response.body.slice(-500)}`)
  }
  assert.match((await ask({ url: '/admin/core/bgtask/debug?id=99', headers: { cookie: cookies.admin! } })).body, /Task 99 does not exist\./)
})

test('wrong passwords: no word about who exists, a growing delay, an audit row each', async () => {
  const form = await ask({ url: '/admin/login' })
  const tryLogin = (name: string) =>
    ask({
      method: 'POST',
      url: '/admin/login',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin, cookie: cookieOf(form) },
      payload: new URLSearchParams({ _csrf: tokenIn(form.body), name, password: 'not it' }).toString(),
    })
  const [known, unknown] = [await tryLogin('viewer'), await tryLogin('nobody')]
  assert.deepEqual([known.statusCode, unknown.statusCode], [401, 401])
  for (const { body } of [known, unknown]) assert.match(body, /User name and password do not fit/)
  let last = known
  for (let tries = 0; tries < 5; tries++) last = await tryLogin('viewer')
  assert.equal(last.statusCode, 429)
  assert.ok(Number(last.headers['retry-after']) >= 1)
  assert.ok((await listAudit(background.db, { limit: 50 })).filter(({ act }) => act === 'login-failed').length >= 6)
})

test('signing out ends the session, and what it had', async () => {
  await signIn('operator')
  const cookie = cookies.operator!
  assert.equal((await ask({ url: '/admin/account', headers: { cookie } })).statusCode, 200)
  assert.equal((await post('/admin/logout', 'operator')).statusCode, 303)
  assert.equal((await ask({ url: '/admin/account', headers: { cookie } })).statusCode, 303)
  await signIn('operator')
})

const navigation = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const byClick = { ...navigation, 'sec-fetch-site': 'same-origin', 'sec-fetch-user': '?1' }
/** Ways by which somebody else can make a browser ask for a page. */
const foreignVisits: Record<string, string>[] = [
  { ...navigation, 'sec-fetch-site': 'cross-site', 'sec-fetch-user': '?1' },
  { ...navigation, 'sec-fetch-site': 'same-site', 'sec-fetch-user': '?1' },
  { ...byClick, 'sec-fetch-dest': 'iframe' },
  { ...byClick, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
  { ...byClick, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
  { ...byClick, 'sec-purpose': 'prefetch' },
  { ...byClick, 'sec-purpose': 'prefetch;prerender' },
  { ...byClick, purpose: 'prefetch' },
  { ...byClick, 'x-moz': 'prefetch' },
  { referer: 'http://evil.example/page' },
  { referer: 'http://127.0.0.1:8081/admin' },
]

test('a visit starts nothing while the loop is on hold', async () => {
  for (const headers of [{}, byClick] as Record<string, string>[]) {
    assert.equal((await ask({ url: '/admin', headers: { cookie: cookies.admin!, ...headers } })).statusCode, 200)
  }
  assert.equal(readSupervisor(runtime), null)
})

test('a visit that somebody else caused starts nothing', async () => {
  releaseHold(runtime)
  try {
    for (const headers of foreignVisits)
      assert.equal((await ask({ url: '/admin', headers: { cookie: cookies.admin!, ...headers } })).statusCode, 200)
    // A viewer may look, and starts nothing by it.
    assert.equal((await ask({ url: '/admin', headers: { cookie: cookies.viewer!, ...byClick } })).statusCode, 200)
    // Nor does a link elsewhere that leads over the login page.
    const over = await ask({
      url: '/admin/login?next=/admin',
      headers: { cookie: cookies.admin!, ...navigation, 'sec-fetch-site': 'same-origin' },
    })
    assert.equal(over.headers.location, '/admin')
    assert.equal((await ask({ url: '/admin', headers: { cookie: cookies.admin!, ...byClick } })).statusCode, 200)
    assert.equal(readSupervisor(runtime), null)
    const acts = await listAudit(background.db, { limit: 200 })
    assert.deepEqual(
      acts.filter(({ act }) => act === 'loop-started'),
      [],
    )
  } finally {
    hold(runtime, 'the test', Date.now())
  }
})

test('one-time links: an unknown one opens nothing', async () => {
  assert.equal((await ask({ url: '/admin/setup' })).statusCode, 410)
  for (const url of ['/admin/setup', '/admin/login/link']) {
    for (const token of ['A'.repeat(43), '', '0'.repeat(64)]) assert.equal((await post(url, 'admin', { token })).statusCode, 410, url)
  }
})

test('behind a proxy with TLS: its name is answered, the cookie is for https alone, and a proxy that says nothing is told of', async () => {
  const other = await buildServer(
    { ...background.config, publicUrl: 'https://panel.example.com', trustProxy: ['127.0.0.1'] },
    { background },
  )
  try {
    const login = (headers: Record<string, string>) =>
      other.inject({ url: '/admin/login', headers: { host: 'panel.example.com', ...headers } })
    const good = await login({ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example' })
    assert.equal(good.statusCode, 200)
    assert.match(String(good.headers['set-cookie']), /^__Host-bgtask=.*Path=\/; HttpOnly; Secure; SameSite=Strict/)
    assert.match(String(good.headers['strict-transport-security']), /max-age/)
    assert.doesNotMatch(good.body, /X-Forwarded-Proto/)
    assert.match((await login({})).body, /X-Forwarded-Proto/)
    assert.equal(
      (await other.inject({ url: '/healthz', headers: { host: 'evil.example', 'x-forwarded-host': 'panel.example.com' } })).statusCode,
      421,
    )
  } finally {
    await other.close()
  }
})

test('controllers of the application: registered by themselves, behind the same guards', async () => {
  assert.equal((await ask({ url: '/demo' })).statusCode, 303)
  assert.equal((await ask({ url: '/demo', headers: { cookie: cookies.viewer! } })).statusCode, 403)
  assert.equal((await ask({ url: '/demo', headers: { cookie: cookies.operator! } })).statusCode, 200)
  assert.equal((await post('/demo/heartbeat', 'operator', { _csrf: 'wrong' })).statusCode, 403)
  const added = [await post('/demo/heartbeat', 'operator'), await post('/demo/heartbeat', 'operator')]
  assert.deepEqual(
    added.map(({ statusCode }) => statusCode),
    [303, 303],
  )
  assert.equal(added[0]!.headers.location, added[1]!.headers.location)
  const refused = await post('/demo/export', 'operator', { rows: 'many' })
  assert.equal(refused.statusCode, 422)
  assert.match(refused.body, /rows/)
})

test('a route that nobody gave a role keeps the panel from starting', async () => {
  const other = await buildServer(background.config, { background })
  other.get('/admin/forgotten', async () => 'secret')
  await assert.rejects(async () => other.ready(), /GET \/admin\/forgotten/)
})

const wire = (port: number, request: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    socket.setTimeout(5_000, () => socket.destroy())
    socket.on('data', chunk => (answer += chunk.toString('latin1')))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
