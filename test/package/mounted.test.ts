import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import cookie from '@fastify/cookie'
import csrf from '@fastify/csrf-protection'
import formbody from '@fastify/formbody'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import session from '@fastify/session'
import fastify, { type FastifyInstance } from 'fastify'
import { type Background, openBackground } from '../../app/api/background.ts'
import { makeToken } from '../../app/api/tokens.ts'
import { createUser } from '../../app/api/users.ts'
import bgtask, { mountPanel } from '../../app/index.ts'
import { hold, readFlag, releaseHold } from '../../app/runs/flags.ts'
import { identify } from '../../app/runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { removeSupervisor, writeSupervisor } from '../../app/runs/supervisor-file.ts'
import { password } from '../helpers/browser.ts'
import { cookieOf, tokenIn } from '../helpers/listening-panel.ts'

/* The panel in somebody else's application: what theirs does must neither break nor open ours, and ours must not touch theirs. */

const runtime = mkdtempSync(join(tmpdir(), 'bgtask-mounted-'))
// As an application has it: bgtask reads the environment.
Object.assign(process.env, {
  BGTASK_RUNTIME: runtime,
  BGTASK_ACTIONS: join(import.meta.dirname, '..', 'fixtures', 'actions'),
  BGTASK_LOG_LEVEL: 'silent',
})
const prefix = '/ops/bg'
const theirPolicy = 'the policy of the application'
let background: Background
let app: FastifyInstance
let port: number

before(async () => {
  prepareRuntimeFolder(runtime)
  hold(runtime, 'the test', Date.now())
  background = await openBackground()
  await createUser(background.db, { name: 'admin', password, role: 'admin' })
  app = await application()
  await app.listen({ host: '127.0.0.1', port: 0 })
  port = (app.server.address() as AddressInfo).port
})
after(async () => {
  await app.close()
  await background.close()
  rmSync(runtime, { recursive: true, force: true })
})

/** All that bgtask uses itself is registered here too, with other settings, before and after it; and every name that it decorates is taken. */
const application = async (): Promise<FastifyInstance> => {
  const host = fastify({ bodyLimit: 20 })
  for (const name of ['user', 'token', 'language', 'theme']) host.decorateRequest(name, 'theirs')
  host.decorateReply('page', (() => 'theirs') as never)
  for (const name of ['requireLogin', 'endStreams']) host.decorate(name, (() => 'theirs') as never)
  await host.register(cookie, { secret: 'theirs' })
  await host.register(session, { secret: 'x'.repeat(40), cookieName: 'theirs', cookie: { secure: false }, saveUninitialized: true })
  await host.register(csrf, { sessionPlugin: '@fastify/session' })
  await host.register(helmet, { contentSecurityPolicy: false })
  await host.register(formbody)
  await host.register(rateLimit, { max: 100_000 })
  host.addContentTypeParser('*', (_request, payload, done) => payload.resume().on('end', () => done(null, 'eaten')))
  host.addHook('onRequest', async (_request, reply) => {
    reply.header('content-security-policy', theirPolicy)
    for (const [name, value] of Object.entries({
      'access-control-allow-origin': '*',
      'content-security-policy': theirPolicy,
      'set-cookie': 'theirs=1',
    }))
      reply.raw.setHeader(name, value)
  })
  host.addHook('onSend', async (_request, _reply, payload) => `${payload} (theirs)`)
  host.setErrorHandler((_error, _request, reply) => reply.code(500).send('their error'))
  host.setNotFoundHandler((_request, reply) => reply.code(404).send('their page that is not there'))
  host.get('/', async () => 'home')
  host.get('/broken', async () => {
    throw new Error('broken')
  })
  host.post('/form', async ({ body }) => JSON.stringify(body))
  await host.register(bgtask, { prefix, autostart: false })
  host.addHook('preHandler', async () => undefined)
  host.get('/later', async () => 'later')
  return host
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

const ask = (
  path: string,
  { method = 'GET', headers = {}, body, to = port }: { method?: string; headers?: Record<string, string>; body?: string; to?: number } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const sent = request(
      { host: '127.0.0.1', port: to, path, method, headers: { host: `127.0.0.1:${to}`, ...length, ...headers }, agent: false },
      answer => {
        let text = ''
        answer.on('data', chunk => {
          text += chunk
        })
        answer.on('end', () => resolve({ status: answer.statusCode!, headers: answer.headers, body: text }))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })

const form = (fields: Record<string, string>, cookies: string, to = port) => ({
  method: 'POST',
  body: new URLSearchParams(fields).toString(),
  headers: { cookie: cookies, origin: `http://127.0.0.1:${to}`, 'content-type': 'application/x-www-form-urlencoded' },
  to,
})

const signIn = async (at: string, to = port) => {
  const page = await ask(`${at}/login`, { headers: { 'sec-fetch-site': 'none' }, to })
  const answer = await ask(`${at}/login`, form({ name: 'admin', password, _csrf: tokenIn(page.body), next: at }, cookieOf(page), to))
  assert.equal(answer.status, 303, answer.body)
  assert.equal(answer.headers.location, at)
  return cookieOf(answer)
}

test('the routes of the application are as they were', async () => {
  const home = await ask('/', { headers: { host: 'any.name.example' } })
  assert.deepEqual([home.status, home.body], [200, 'home (theirs)'])
  assert.equal(home.headers['content-security-policy'], theirPolicy)
  assert.equal(home.headers['cache-control'], undefined)
  assert.equal((await ask('/later')).body, 'later (theirs)')
  assert.deepEqual((await ask('/nowhere')).body, 'their page that is not there (theirs)')
  assert.deepEqual((await ask('/broken')).body, 'their error (theirs)')
  const posted = await ask('/form', { method: 'POST', body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } })
  assert.equal(posted.body, '{"a":"b"} (theirs)')
  assert.equal(
    (await ask('/form', { method: 'POST', body: 'x', headers: { 'content-type': 'application/strange' } })).body,
    '"eaten" (theirs)',
  )
  for (const ours of ['/admin', '/healthz', '/api/v1/openapi.json', '/ops', '/ops/bgx']) assert.equal((await ask(ours)).status, 404, ours)
})

test('the panel has its own headers, sessions, forms and error pages, and none of the application', async () => {
  const closed = await ask(prefix)
  assert.equal(closed.status, 303)
  assert.equal(closed.headers.location, `${prefix}/login?next=${encodeURIComponent(prefix)}`)
  const cookies = await signIn(prefix)
  assert.match(cookies, /(?:^|; )bgtask-/)
  assert.doesNotMatch(cookies, /theirs/)
  for (const path of [prefix, `${prefix}/core/bgtask`, `${prefix}/nowhere`, `${prefix}/healthz`, `${prefix}/api/v1/tasks`]) {
    const { headers, body, status } = await ask(path, { headers: { cookie: cookies } })
    assert.match(String(headers['content-security-policy']), /^default-src 'none'/, path)
    assert.equal(headers['access-control-allow-origin'], undefined, path)
    assert.equal(headers['strict-transport-security'], undefined, path)
    assert.equal(headers['cache-control'], 'no-store', path)
    assert.doesNotMatch(body, /theirs/, path)
    assert.equal(status, { [`${prefix}/nowhere`]: 404, [`${prefix}/api/v1/tasks`]: 401 }[path] ?? 200, path)
  }
  const { headers, body } = await ask(`${prefix}/login`)
  assert.match(String(headers['set-cookie']), new RegExp(`Path=${prefix};`))
  const [, sheet] = /href="([^"]+\.css)"/.exec(body)!
  assert.equal((await ask(sheet!)).headers['content-type'], 'text/css; charset=utf-8')
  // Longer than what the application lets anybody send, and of a type that it parses in its own way.
  const account = await ask(`${prefix}/account`, { headers: { cookie: cookies } })
  const theme = await ask(`${prefix}/preferences`, form({ _csrf: tokenIn(account.body), theme: 'dark', next: prefix }, cookies))
  assert.deepEqual([theme.status, theme.headers.location], [303, prefix])
  for (const [what, options] of [
    ['no token', form({ theme: 'dark' }, cookies)],
    [
      'a foreign origin',
      { ...form({ _csrf: tokenIn(account.body) }, cookies), headers: { cookie: cookies, origin: 'http://evil.example' } },
    ],
  ] as const)
    assert.equal((await ask(`${prefix}/core/bgtask`, options)).status, 403, what)
  assert.equal((await ask(prefix, { headers: { cookie: cookies, host: 'rebound.example' } })).status, 421)
  assert.equal((await ask(prefix, { method: 'HEAD', headers: { cookie: cookies } })).status, 405)
})

test('programs ask below the prefix, too', async () => {
  const { text } = await makeToken(
    background.db,
    { name: 'test', ip: null, via: 'command-line' },
    { name: 'mounted', scopes: ['task:add:test/ok'] },
  )
  const headers = { authorization: `Bearer ${text}`, 'content-type': 'application/json' }
  const added = await ask(`${prefix}/api/v1/tasks`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ action: 'test/ok', params: { long: 'x'.repeat(100) } }),
  })
  assert.equal(added.status, 201, added.body)
  assert.match(added.headers.location!, /^\/ops\/bg\/api\/v1\/tasks\/\d+$/)
  assert.equal((await ask(`${prefix}/core/bgtask`, { headers })).status, 403)
  const { servers } = JSON.parse((await ask(`${prefix}/api/v1/openapi.json`)).body)
  assert.deepEqual(servers, [{ url: `${prefix}/api/v1` }])
})

test('a link on a page of the application does not stop the loop by itself, one on a page of ours does', async () => {
  const cookies = await signIn(prefix)
  releaseHold(runtime)
  const now = Date.now()
  const life = {
    ...identify(process.pid)!,
    epoch: randomBytes(4).toString('hex'),
    version: '0',
    startedAt: now,
    tickAt: now,
    phase: 'running' as const,
  }
  writeSupervisor(runtime, { ...life, databaseAwaySince: null, unrecorded: 0, running: 0, loops: 0 })
  const click = (from: string) =>
    ask(`${prefix}/core/bgtask/restart`, {
      headers: {
        cookie: cookies,
        referer: `http://127.0.0.1:${port}${from}`,
        'sec-fetch-site': 'same-origin',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        'sec-fetch-user': '?1',
      },
    })
  try {
    for (const theirs of ['/', '/later', '/ops/bgx', '/core/bgtask']) assert.equal((await click(theirs)).status, 200, theirs)
    assert.equal(readFlag(runtimePaths(runtime).stop), null)
    assert.equal((await click(`${prefix}/core/bgtask`)).status, 303)
    assert.notEqual(readFlag(runtimePaths(runtime).stop), null)
  } finally {
    removeSupervisor(runtime)
    rmSync(runtimePaths(runtime).stop, { force: true })
    hold(runtime, 'the test', Date.now())
  }
})

test('an application that closes ends the live streams, and what is asked meanwhile gets its answer', { timeout: 60_000 }, async () => {
  const other = fastify()
  // Without a prefix of the application's it stands at /admin; below another one it follows that.
  await other.register(bgtask, { autostart: false })
  await other.register(async inner => inner.register(bgtask, { prefix: '/bg', autostart: false }), { prefix: '/deep' })
  await other.listen({ host: '127.0.0.1', port: 0 })
  const to = (other.server.address() as AddressInfo).port
  const streams = []
  for (const at of ['/admin', '/deep/bg']) {
    const cookies = await signIn(at, to)
    assert.match((await ask(at, { headers: { cookie: cookies }, to })).body, /id="overview-body"/)
    const socket = connect(to, '127.0.0.1')
    socket.write(`GET ${at}/live?page=${at} HTTP/1.1\r\nHost: 127.0.0.1:${to}\r\nCookie: ${cookies}\r\nSec-Fetch-Site: same-origin\r\n\r\n`)
    const [first] = await once(socket, 'data')
    assert.match(String(first), /^HTTP\/1\.1 200 .*text\/event-stream/s)
    socket.resume()
    streams.push(once(socket, 'close'))
  }
  await other.close()
  await Promise.all(streams)
  assert.equal((await ask(`${prefix}/healthz`)).status, 200)
})

test('what cannot be is refused in a sentence', async () => {
  for (const wrong of ['/:tenant', '/api/v1', '/a b'])
    await assert.rejects(
      Promise.resolve(fastify().register(bgtask, { prefix: wrong })),
      { code: 'misconfigured', message: /The option prefix is/ },
      wrong,
    )
  const http2 = fastify({ http2: true })
  await assert.rejects(Promise.resolve(http2.register(bgtask, { prefix })), /cannot be registered in a Fastify that speaks HTTP\/2/)
})

test('any server can hand its requests on, as long as it has not read their bodies', async t => {
  const panel = await mountPanel({ prefix: '/tasks', autostart: false })
  // As Express does: the part of the address under which it hands on is cut off, and told elsewhere.
  const server = createServer(async (incoming, response) => {
    response.setHeader('x-powered-by', 'theirs')
    const { url = '' } = incoming
    if (!url.startsWith('/tasks')) return void response.end('theirs')
    Object.assign(incoming, { originalUrl: url, url: url.slice('/tasks'.length) || '/' })
    if (incoming.headers['x-read']) for await (const _ of incoming);
    panel.handle(incoming, response)
  })
  t.after(async () => {
    server.close()
    await panel.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const to = (server.address() as AddressInfo).port
  const cookies = await signIn('/tasks', to)
  const page = await ask('/tasks/core/bgtask?state=failed', { headers: { cookie: cookies }, to })
  assert.equal(page.status, 200)
  assert.equal(page.headers['x-powered-by'], undefined)
  assert.equal((await ask('/', { to })).body, 'theirs')
  const asked = form({ _csrf: tokenIn(page.body), theme: 'dark' }, cookies, to)
  const read = await ask('/tasks/preferences', { ...asked, headers: { ...asked.headers, 'x-read': 'yes' } })
  assert.deepEqual([read.status, /before any body parser/.test(read.body)], [500, true])
  assert.equal((await ask('/tasks/preferences', asked)).status, 303)
})

test('the first administrator is let in by a link below the prefix', async t => {
  const fresh = mkdtempSync(join(tmpdir(), 'bgtask-mounted-'))
  const before = { BGTASK_RUNTIME: process.env.BGTASK_RUNTIME }
  process.env.BGTASK_RUNTIME = fresh
  const panel = await mountPanel({ prefix: '/tasks', autostart: false })
  t.after(async () => {
    Object.assign(process.env, before)
    await panel.close()
    rmSync(fresh, { recursive: true, force: true })
  })
  assert.match(readFileSync(join(fresh, 'first-run'), 'utf8'), /^\/tasks\/setup#[\w-]{43}\n$/)
})

test('in a Fastify that listens, the first administrator is given the whole link', async t => {
  const fresh = mkdtempSync(join(tmpdir(), 'bgtask-mounted-'))
  const before = { BGTASK_RUNTIME: process.env.BGTASK_RUNTIME }
  process.env.BGTASK_RUNTIME = fresh
  const host = fastify()
  t.after(async () => {
    Object.assign(process.env, before)
    await host.close()
    rmSync(fresh, { recursive: true, force: true })
  })
  await host.register(bgtask, { prefix: '/tasks', autostart: false })
  const origin = await host.listen({ host: '127.0.0.1', port: 0 })
  const link = readFileSync(join(fresh, 'first-run'), 'utf8').trim()
  assert.equal(link.split('#')[0], `${origin}/tasks/setup`)
  assert.equal((await fetch(link)).status, 200)
})
