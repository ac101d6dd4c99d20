import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fastify from 'fastify'
import { makeToken, revokeToken } from '../../app/api/tokens.ts'
import { hold, readFlag, releaseHold } from '../../app/runs/flags.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { listAudit } from '../../app/store/audit.ts'
import { EXEC_TYPE_FOREVER } from '../../app/task/task.ts'
import { registerControllers } from '../../app/web/controllers.ts'
import { rateLimits } from '../../app/web/rate-limits.ts'
import { routeRoles, type TokenNeed, tokenRoutes } from '../../app/web/roles.ts'
import { type Answer, type Asked, freshAddress, type ListeningPanel, listenPanel } from '../helpers/listening-panel.ts'
import { passTime } from '../helpers/pass-time.ts'
import { until } from '../helpers/scene.ts'

/*
 * Programs, over real sockets. Every scope is held against every route that takes a token; what is expected stands in this file, so that a
 * change of the table in app/web/roles.ts has to be made here as well.
 */

let panel: ListeningPanel
before(async () => {
  panel = await listenPanel()
  // Visits of these tests must not start a supervisor, but where they say so.
  hold(panel.runtime, 'the test', Date.now())
})
after(() => panel.close())

const made = async (scopes: readonly string[], more: { lifeMs?: number | 'never'; name?: string } = {}) => {
  const actor = { name: 'admin', ip: null, via: 'form' } as const
  const { token, text } = await makeToken(panel.background.db, actor, { name: more.name ?? 'of the test', scopes, ...more })
  return { id: token.id, text }
}
const bearing = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` })
const json = { 'content-type': 'application/json' }
const told = ({ body }: Answer) => (JSON.parse(body) as { error: { code: string; message: string } }).error

/** Everything that a token can do, each with an address and a body that do it. Times that are not asked about are left out. */
interface Line {
  need: TokenNeed
  good: number
  make: () => Promise<Partial<Asked>>
}
const onLoop = (noun: string): Line => ({
  need: 'task:control',
  good: 200,
  make: async () => ({ url: `/api/v1/tasks/${await loopTask()}/${noun}` }),
})
const lines: Record<string, Line> = {
  'GET /admin': { need: 'loop:restart', good: 409, make: async () => ({}) },
  'GET /admin/core/bgtask/restart': { need: 'loop:restart', good: 200, make: async () => ({}) },
  'GET /metrics': { need: 'metrics:read', good: 200, make: async () => ({}) },
  'POST /api/v1/tasks': { need: 'task:add', good: 201, make: async () => ({ body: JSON.stringify({ action: 'test/ok' }), headers: json }) },
  'GET /api/v1/openapi.json': { need: 'any', good: 200, make: async () => ({}) },
  'GET /api/v1/tasks': { need: 'task:read', good: 200, make: async () => ({}) },
  'GET /api/v1/tasks/:id': { need: 'task:read', good: 200, make: async () => ({ url: `/api/v1/tasks/${await onceTask()}` }) },
  'GET /api/v1/tasks/:id/runs': { need: 'task:read', good: 200, make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/runs` }) },
  'GET /api/v1/tasks/:id/wait': {
    need: 'task:read',
    good: 200,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/wait?timeoutMs=0` }),
  },
  'GET /api/v1/tasks/:id/output': {
    need: 'task:read',
    good: 404,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/output` }),
  },
  'POST /api/v1/tasks/cancellation': {
    need: 'task:control',
    good: 404,
    make: async () => ({ body: JSON.stringify({ unique: 'nobody has it' }), headers: json }),
  },
  'POST /api/v1/tasks/:id/start': onLoop('start'),
  'POST /api/v1/tasks/:id/stop': onLoop('stop'),
  'POST /api/v1/tasks/:id/restart': onLoop('restart'),
  'POST /api/v1/tasks/:id/cancellation': {
    need: 'task:control',
    good: 200,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/cancellation` }),
  },
  'POST /api/v1/tasks/:id/retry': onLoop('retry'),
  'POST /api/v1/tasks/:id/move': {
    need: 'task:control',
    good: 200,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/move`, body: '{"delayMs": 60000}', headers: json }),
  },
  'GET /api/v1/tasks/:id/edits': { need: 'task:read', good: 200, make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/edits` }) },
  'POST /api/v1/tasks/:id/edit': {
    need: 'task:control',
    good: 200,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/edit`, body: '{"graceMs": 77}', headers: json }),
  },
  'POST /api/v1/tasks/:id/edits/:n/reversal': {
    need: 'task:control',
    good: 404,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/edits/1/reversal` }),
  },
  'POST /api/v1/tasks/move': {
    need: 'task:control',
    good: 404,
    make: async () => ({ body: JSON.stringify({ unique: 'nobody has it', delayMs: 0 }), headers: json }),
  },
  'GET /api/v1/schedules': { need: 'schedule:read', good: 200, make: async () => ({}) },
  'GET /api/v1/schedules/:name': { need: 'schedule:read', good: 404, make: async () => ({ url: '/api/v1/schedules/none' }) },
  // Not of its own action: what it may not add it may not schedule.
  'PUT /api/v1/schedules/:name': {
    need: 'schedule:write',
    good: 403,
    make: async () => ({ url: '/api/v1/schedules/none', body: '{"action": "test/ok", "everyMs": 60000}', headers: json }),
  },
  'DELETE /api/v1/schedules/:name': { need: 'schedule:write', good: 404, make: async () => ({ url: '/api/v1/schedules/none' }) },
  'POST /api/v1/schedules/:name/pause': { need: 'schedule:write', good: 404, make: async () => ({ url: '/api/v1/schedules/none/pause' }) },
  'POST /api/v1/schedules/:name/resume': {
    need: 'schedule:write',
    good: 404,
    make: async () => ({ url: '/api/v1/schedules/none/resume' }),
  },
  'GET /api/v1/failed': { need: 'task:read', good: 200, make: async () => ({}) },
  'POST /api/v1/failed/retry': { need: 'task:control', good: 202, make: async () => ({ body: '{}', headers: json }) },
  'POST /api/v1/failed/discard': {
    need: 'task:control',
    good: 202,
    make: async () => ({ body: JSON.stringify({ action: 'test/none' }), headers: json }),
  },
  'GET /api/v1/tasks/:id/artifacts': {
    need: 'task:read',
    good: 200,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/artifacts` }),
  },
  'GET /api/v1/tasks/:id/artifacts/:number/:n': {
    need: 'task:read',
    good: 404,
    make: async () => ({ url: `/api/v1/tasks/${await onceTask()}/artifacts/1/1` }),
  },
  'GET /api/v1/commands': { need: 'command', good: 200, make: async () => ({}) },
  'POST /api/v1/commands/:name': {
    need: 'command',
    good: 403,
    make: async () => ({ url: '/api/v1/commands/no-such-command', body: JSON.stringify({ args: {} }), headers: json }),
  },
  'POST /api/v1/loop/restart': { need: 'loop:restart', good: 409, make: async () => ({}) },
  'POST /api/v1/cron/run': {
    need: 'cron:run',
    good: 201,
    make: async () => {
      panel.sql("DELETE FROM bg_task WHERE action = 'core/cron'")
      return {}
    },
  },
}
const onceTask = async () => (await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })).id
const loopTask = async () => (await panel.background.addTask('test/forever', {}, EXEC_TYPE_FOREVER)).id
const askOf = (route: string, more: Partial<Asked>): Asked => {
  const [method, url] = route.split(' ') as [string, string]
  return { method, url, ...more }
}

const scopes: Record<string, readonly string[]> = {
  'task:add': ['task:add:test/ok', 'task:add:test/*'],
  'task:read': ['task:read'],
  'task:control': ['task:control'],
  'schedule:read': ['schedule:read'],
  'schedule:write': ['schedule:write'],
  'loop:restart': ['loop:restart'],
  command: ['command:clear-cache'],
  'cron:run': ['cron:run'],
  'metrics:read': ['metrics:read'],
}

test('the table is what this file expects, and every route of it is there', () => {
  assert.deepEqual(tokenRoutes, Object.fromEntries(Object.entries(lines).map(([route, { need }]) => [route, need])))
  const registered = new Set(panel.routes.map(({ name }) => name))
  for (const route of Object.keys(lines)) assert.ok(registered.has(route), route)
  const api = panel.routes.filter(({ url }) => url.startsWith('/api/'))
  assert.deepEqual(
    api.map(({ name }) => name).sort(),
    Object.keys(lines)
      .filter(route => route.includes(' /api/'))
      .sort(),
  )
})

test('every scope on every route: what it is for passes, everything else is refused and changes nothing', async () => {
  for (const [kind, texts] of Object.entries(scopes)) {
    for (const scope of texts) {
      const from = freshAddress()
      const { text } = await made([scope])
      for (const [route, { need, good, make }] of Object.entries(lines)) {
        const asked = await make()
        const before = panel.snapshot()
        const answer = await panel.ask({ ...askOf(route, asked), headers: { ...asked.headers, ...bearing(text) }, from })
        const say = `${scope} on ${route}: ${answer.status} ${answer.body}`
        const may = need === kind || need === 'any'
        assert.equal(answer.status, may ? good : 403, say)
        assert.match(String(answer.headers['content-type']), may && route === 'GET /metrics' ? /^text\/plain/ : /^application\/json/, say)
        assert.equal(answer.headers['cache-control'], 'no-store', say)
        assert.equal(answer.headers['set-cookie'], undefined, say)
        if (may) continue
        assert.equal(told(answer).code, 'scope-missing', say)
        assert.equal(
          answer.headers['www-authenticate'],
          `Bearer realm="bgtask", error="insufficient_scope", scope="${need === 'command' ? 'command:<name>' : need}"`,
        )
        assert.equal(panel.snapshot(), before, say)
      }
    }
  }
})

test('a token on any other route is refused, whatever it may do', async () => {
  const { text } = await made(['task:read', 'task:control', 'loop:restart', 'cron:run', 'task:add:test/*'])
  const others = panel.routes.filter(({ name }) => tokenRoutes[name] === undefined && routeRoles[name] !== undefined)
  assert.ok(others.length > 30)
  const before = panel.snapshot()
  for (const { method, url, name } of others) {
    const address = url.replace(/:\w+/g, '1')
    const answer = await panel.ask({
      method,
      url: address,
      headers: { ...bearing(text), ...json },
      ...(method === 'POST' ? { body: '{}' } : {}),
      from: freshAddress(),
    })
    assert.equal(answer.status, 403, `${name}: ${answer.body}`)
    if (method !== 'HEAD') assert.equal(told(answer).code, 'no-token-here', name)
  }
  assert.equal(panel.snapshot(), before)
})

test('pages of the application: a token of theirs is none of our business, ours is not shown to them', async () => {
  const { text } = await made(['task:read'])
  assert.equal((await panel.ask({ url: '/demo', headers: { authorization: 'Bearer their-own-token' } })).status, 303)
  const ours = await panel.ask({ url: '/demo', headers: bearing(text) })
  assert.deepEqual([ours.status, told(ours).code], [403, 'no-token-here'])
})

test('the application cannot put a page of its own among the addresses of programs', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-controllers-'))
  const app = fastify()
  t.after(async () => {
    await app.close()
    rmSync(folder, { recursive: true })
  })
  writeFileSync(join(folder, 'own.ts'), "export default async app => { app.get('/own', async () => 'own') }\n")
  writeFileSync(join(folder, 'thief.ts'), "export default async app => { app.get('/api/v1/tasks', async () => 'thief') }\n")
  await registerControllers(app, panel as unknown as Parameters<typeof registerControllers>[1], folder)
  await app.ready()
  assert.deepEqual([(await app.inject('/own')).statusCode, (await app.inject('/api/v1/tasks')).statusCode], [200, 404])
})

test('without a token the API is closed, also where nothing is', async () => {
  const closed = Object.entries(lines).flatMap(([name, { need }]) => (name.includes(' /api/') && need !== 'any' ? [name] : []))
  for (const route of [...closed, 'GET /api/v1', 'GET /api/v1/nowhere', 'PUT /api/v1/tasks']) {
    for (const headers of [{}, { authorization: 'Basic YWRtaW46YWRtaW4=' }, { authorization: 'bgt_1_x' }] as Record<string, string>[]) {
      const answer = await panel.ask({ ...askOf(route, {}), headers, from: freshAddress() })
      assert.deepEqual([answer.status, told(answer).code], [401, 'token-missing'], route)
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="bgtask"')
      assert.equal(answer.headers['cache-control'], 'no-store')
    }
  }
  // Signed in is not enough: a page of another site could ask for it with the cookie.
  const admin = await panel.signIn('admin')
  for (const route of closed) {
    const answer = await panel.ask({ ...askOf(route, {}), headers: { cookie: admin.cookie, origin: panel.origin, ...json } })
    assert.equal(answer.status, 401, route)
  }
})

/** Tokens that open nothing, by what is wrong with them. */
const badTokens = async (): Promise<Record<string, string>> => {
  const one = await made(['task:read'])
  const two = await made(['task:read'])
  const revoked = await made(['task:read'])
  await revokeToken(panel.background.db, { name: 'admin', ip: null, via: 'form' }, revoked.id)
  const expired = await made(['task:read'])
  panel.sql('UPDATE bg_token SET expires_at = ? WHERE id = ?', Date.now() - 1, expired.id)
  const secret = one.text.slice(-43)
  return {
    'wrong secret': `bgt_${one.id}_${secret.startsWith('A') ? 'B' : 'A'}${secret.slice(1)}`,
    'wrong id': `bgt_99999_${secret}`,
    'id of another': `bgt_${two.id}_${secret}`,
    revoked: revoked.text,
    expired: expired.text,
    'cut off': one.text.slice(0, -1),
    longer: `${one.text}A`,
    'secret alone': secret,
    nothing: '',
    'a word': 'null',
    'of another system': 'eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0c2VjcmV0',
    markup: '<script>alert(1)</script>',
    'with a comma': `${one.text}, Bearer x`,
  }
}

test('a bad token is the end: 401, no session instead, nothing echoed, and the audit says whose it was meant to be', async () => {
  const admin = await panel.signIn('admin')
  const task = await onceTask()
  for (const [what, text] of Object.entries(await badTokens())) {
    const from = freshAddress()
    for (const asked of [
      { url: `/api/v1/tasks/${task}` },
      { url: '/admin' },
      { url: '/admin/core/bgtask/restart' },
      { url: '/admin/core/bgtask' },
      { url: '/healthz' },
      { url: '/nowhere' },
      { url: '/api/v1/nowhere' },
      { url: `/admin/core/bgtask/${task}/cancellation`, method: 'POST', body: {} },
    ] as Asked[]) {
      // The cookie of an administrator lies beside it, and so does the token of the form.
      const answer = await panel.ask({ as: admin, ...asked, headers: bearing(text), from })
      assert.deepEqual([answer.status, told(answer).code], [401, 'token-refused'], `${what} ${asked.url}`)
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="bgtask", error="invalid_token"')
      assert.equal(answer.headers['set-cookie'], undefined)
      if (text.length > 5) assert.ok(!answer.body.includes(text) && !JSON.stringify(answer.headers).includes(text), what)
      const secret = text.slice(-43)
      if (secret.length === 43) assert.ok(!answer.body.includes(secret), what)
    }
  }
  assert.equal(
    (await panel.background.db.kysely.selectFrom('bg_task').select('state').where('id', '=', task).executeTakeFirst())?.state,
    'waiting',
  )
  const refused = (await listAudit(panel.background.db, { limit: 1_000, act: 'token-refused' })).map(
    ({ subject, detail }) => `${subject} ${detail}`,
  )
  for (const kind of ['unknown', 'expired', 'revoked', 'malformed'])
    assert.ok(
      refused.some(line => line.endsWith(kind)),
      kind,
    )
  assert.ok(refused.includes('token 99999 unknown'))
})

test('several Authorization headers are none, for nobody can say which one counts', async () => {
  const { text } = await made(['task:read'])
  const id = await onceTask()
  const host = `Host: 127.0.0.1:${panel.port}`
  const ask = (headers: string) => panel.wire(`GET /api/v1/tasks/${id} HTTP/1.1\r\n${host}\r\n${headers}Connection: close\r\n\r\n`)
  assert.match(await ask(`Authorization: Bearer ${text}\r\n`), /^HTTP\/1.1 200/)
  assert.match(await ask(`authorization:    bEaReR   ${text}  \r\n`), /^HTTP\/1.1 200/)
  for (const headers of [
    `Authorization: Bearer ${text}\r\nAuthorization: Bearer bgt_1_x\r\n`,
    `Authorization: Bearer bgt_1_x\r\nAuthorization: Bearer ${text}\r\n`,
    `Authorization: Basic eDp5\r\nAuthorization: Bearer ${text}\r\n`,
    `Authorization: Bearer ${text}\r\nauthorization: Bearer ${text}\r\n`,
  ])
    assert.match(await ask(headers), /^HTTP\/1.1 401/, headers)
})

test('a token in an address, a cookie, a form, a body or another header is not seen', async () => {
  const { text } = await made(['task:read', 'task:control', 'loop:restart', 'task:add:test/*'])
  const id = await onceTask()
  const from = freshAddress()
  const ways: Asked[] = [
    { url: `/api/v1/tasks/${id}?token=${text}&access_token=${text}&authorization=Bearer%20${text}` },
    { url: `/api/v1/tasks/${id}`, headers: { cookie: `token=${text}; authorization=Bearer ${text}; access_token=${text}` } },
    {
      url: `/api/v1/tasks/${id}`,
      headers: { 'x-api-key': text, 'x-authorization': `Bearer ${text}`, 'proxy-authorization': `Bearer ${text}` },
    },
    { url: `/api/v1/tasks/${id}`, headers: { authorization: text } },
    { url: `/api/v1/tasks/${id}`, headers: { authorization: `Basic ${Buffer.from(`${text}:`).toString('base64')}` } },
    { url: `/api/v1/tasks/${id}`, headers: { authorization: `Token ${text}` } },
    { method: 'POST', url: '/api/v1/tasks', headers: json, body: JSON.stringify({ action: 'test/ok', token: text, access_token: text }) },
    { method: 'POST', url: `/api/v1/tasks/${id}/cancellation`, body: { access_token: text, token: text } },
  ]
  const before = panel.snapshot()
  for (const asked of ways) {
    const answer = await panel.ask({ ...asked, from })
    assert.deepEqual([answer.status, told(answer).code], [401, 'token-missing'], JSON.stringify(asked))
    assert.ok(!answer.body.includes(text))
  }
  for (const url of [`/admin?token=${text}`, `/admin/core/bgtask/restart?k=${text}`, `/admin/core/bgtask/restart?access_token=${text}`]) {
    const answer = await panel.ask({ url, from })
    assert.equal(answer.status, 303, url)
    assert.match(String(answer.headers.location), /^\/admin\/login/)
  }
  assert.equal(panel.snapshot(), before)
})

test('a token of a megabyte is refused before anybody looks at it, and the panel goes on', async () => {
  const head = (bytes: number) =>
    `GET /api/v1/tasks/1 HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nAuthorization: Bearer bgt_1_${'A'.repeat(bytes)}\r\n\r\n`
  assert.match(await panel.wire(head(1_000_000)), /^HTTP\/1.1 431/)
  assert.match(await panel.wire(head(8_000).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')), /^HTTP\/1.1 401/)
  assert.equal((await panel.ask({ url: '/healthz' })).status, 200)
})

test('with a token there is no session: a cookie beside it lends it nothing, and nothing is set', async () => {
  const admin = await panel.signIn('admin')
  const { text, id } = await made(['task:add:test/ok'])
  const from = freshAddress()
  const task = await onceTask()
  for (const url of [`/api/v1/tasks/${task}`, '/admin', '/admin/core/bgtask/restart', '/admin/core/bgtask', '/admin/account']) {
    const answer = await panel.ask({ url, headers: bearing(text), as: admin, from })
    assert.equal(answer.status, 403, url)
  }
  // Not even looked up: a session that is looked up long after it was last seen is noted as seen.
  const { text: restarts } = await made(['loop:restart'])
  panel.sql('UPDATE bg_session SET seen_at = 1000 WHERE id_hash = ?', admin.hash)
  assert.equal((await panel.ask({ url: '/admin', headers: bearing(restarts), as: admin, from })).status, 409)
  assert.equal(panel.sql('SELECT seen_at FROM bg_session WHERE id_hash = ?', admin.hash)[0]!.seen_at, 1000)
  await panel.ask({ url: '/admin', as: admin, from })
  assert.notEqual(panel.sql('SELECT seen_at FROM bg_session WHERE id_hash = ?', admin.hash)[0]!.seen_at, 1000)
  const added = await panel.ask({
    method: 'POST',
    url: '/api/v1/tasks',
    as: admin,
    headers: { ...bearing(text), ...json },
    body: '{"action": "test/ok"}',
    from,
  })
  assert.equal(added.status, 201)
  const [row] = await listAudit(panel.background.db, { limit: 1, act: 'task-added' })
  assert.deepEqual([row?.userName, row?.via, row?.ip], [`of the test (token ${id})`, 'token', from])
})

test('the guards before it hold for programs, too: another Host, no Host', async () => {
  const { text } = await made(['task:read'])
  const id = await onceTask()
  assert.equal((await panel.ask({ url: `/api/v1/tasks/${id}`, headers: { ...bearing(text), host: 'evil.example' } })).status, 421)
})

test('a browser of another site gets nothing: no CORS, not even for the preflight', async () => {
  const { text } = await made(['task:read'])
  const id = await onceTask()
  const from = freshAddress()
  const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }
  const preflight = await panel.ask({
    method: 'OPTIONS',
    url: `/api/v1/tasks/${id}`,
    headers: { ...foreign, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
    from,
  })
  assert.ok(preflight.status >= 400, String(preflight.status))
  const read = await panel.ask({ url: `/api/v1/tasks/${id}`, headers: { ...foreign, ...bearing(text) }, from })
  for (const { headers } of [preflight, read])
    assert.deepEqual(
      Object.keys(headers).filter(name => name.startsWith('access-control-')),
      [],
    )
  assert.equal(read.headers['cross-origin-resource-policy'], 'same-origin')
})

test('bodies: JSON and nothing else, not too large, no hostile keys', async () => {
  const { text } = await made(['task:add:test/*'])
  const from = freshAddress()
  const post = (body: string, type: string | null = 'application/json') =>
    panel.ask({
      method: 'POST',
      url: '/api/v1/tasks',
      headers: { ...bearing(text), ...(type ? { 'content-type': type } : {}) },
      body,
      from,
    })
  const good = '{"action": "test/ok"}'
  assert.equal((await post(good)).status, 201)
  assert.equal((await post(good, 'application/json; charset=utf-8')).status, 201)
  const before = panel.snapshot()
  for (const type of [
    'text/plain',
    'text/plain;application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/json',
    'application/jsonp',
    'application/xml',
  ]) {
    const answer = await post(good, type)
    assert.deepEqual([answer.status, told(answer).code], [415, 'content-type'], type)
  }
  assert.equal((await post(good, null)).status, 415)
  for (const body of [
    '{',
    'action',
    '{"action": "test/ok"',
    '{"__proto__": {"a": 1}, "action": "test/ok"}',
    '{"constructor": {"prototype": {"a": 1}}, "action": "test/ok"}',
    '\u0000',
  ]) {
    const answer = await post(body)
    assert.deepEqual([answer.status, told(answer).code], [400, 'bad-request'], body)
  }
  const large = await post(JSON.stringify({ action: 'test/ok', params: { text: 'x'.repeat(300_000) } }))
  assert.deepEqual([large.status, told(large).code], [413, 'too-large'])
  assert.equal(panel.snapshot(), before)
  assert.equal(({} as Record<string, unknown>).a, undefined)
})

test('adding: the sentences of the library, unknown keys refused, and every task of a list held against the scopes', async () => {
  const { text, id } = await made(['task:add:test/ok', 'task:add:demo/*', 'task:read'], { name: 'shop' })
  const from = freshAddress()
  const post = (body: unknown) =>
    panel.ask({ method: 'POST', url: '/api/v1/tasks', headers: { ...bearing(text), ...json }, body: JSON.stringify(body), from })
  const sentenceOf = async (options: object) =>
    panel.background.addTask('test/ok', {}, options).then(
      () => assert.fail(`addTask took ${JSON.stringify(options)}`),
      (error: Error) => error.message,
    )
  const before = panel.snapshot()
  for (const options of [
    { priorty: 1 },
    { priority: 5_000 },
    { priority: '1' },
    { execType: 'TWICE' },
    { delayMs: -1 },
    { delayMs: 1, runAt: 1 },
    { runAt: '2026-02-30T00:00:00Z' },
    { runAt: true },
    { unique: '' },
    { unique: 'k', onConflict: 'merge' },
    { onConflict: 'keep' },
    { maxAttempts: 1.5 },
    { timeoutMs: 0 },
    { graceMs: null },
    { rerunAfterCrash: 'no' },
    { type: 7 },
    { creator: 'x'.repeat(65) },
  ]) {
    const answer = await post({ action: 'test/ok', options })
    assert.deepEqual([answer.status, told(answer)], [422, { code: 'refused', message: await sentenceOf(options) }])
  }
  for (const [body, words] of [
    [{ action: 'test/ok', option: {} }, /option is not known; allowed are action, params, options/],
    [{ action: 'test/ok', options: { trx: { isTransaction: true } } }, /trx is not known/],
    [{ action: 'test/ok', options: { trx: null } }, /trx/],
    [{ action: 'test/ok', options: 'FOREVER' }, /options must be an object, but is "FOREVER"/],
    [{ action: 'test/ok', options: [] }, /options must be an object/],
    [{ action: 7 }, /action must be a text, but is 7/],
    [{}, /action is missing/],
    [7, /The body is 7; it must be an object/],
    [null, /The body is null/],
    [[], /The list has 0 tasks; allowed are 1 to 1,000/],
    [Array.from({ length: 1_001 }, () => ({ action: 'test/ok' })), /The list has 1,001 tasks/],
    [[{ action: 'test/ok' }, { action: 'test/ok', x: 1 }], /Task 2 of the list is not as it should be: x is not known/],
    [{ action: 'demo/nothing' }, /There is no action "demo\/nothing"/],
  ] as const) {
    const answer = await post(body)
    assert.equal(answer.status, 422, answer.body)
    assert.match(told(answer).message, words)
  }
  for (const action of ['../etc/passwd', 'test/ok\r\nX-Evil: 1', '__proto__', '']) {
    const answer = await post({ action })
    assert.deepEqual([answer.status, told(answer).code], [422, 'refused'], action)
    assert.match(told(answer).message, /^There can be no action/)
    assert.equal(answer.headers['x-evil'], undefined)
  }
  for (const body of [
    { action: 'test/fails' },
    [{ action: 'test/ok' }, { action: 'test/fails' }],
    [...Array.from({ length: 500 }, () => ({ action: 'test/ok' })), { action: 'test/okay' }],
  ]) {
    const answer = await post(body)
    assert.deepEqual([answer.status, told(answer).code], [403, 'scope-missing'], JSON.stringify(body).slice(0, 200))
    assert.equal(answer.headers['x-evil'], undefined)
  }
  assert.equal(panel.snapshot(), before, 'nothing of all that was stored')

  const one = await post({ action: 'test/ok', params: { a: '<b>' }, options: { unique: 'only', type: 't' } })
  const { task, added } = JSON.parse(one.body) as { task: { id: number; uid: string; creator: string; why: string }; added: boolean }
  assert.deepEqual([one.status, added, one.headers.location], [201, true, `/api/v1/tasks/${task.id}`])
  assert.equal(task.creator, 'shop')
  const kept = await post({ action: 'test/ok', options: { unique: 'only' } })
  assert.deepEqual([kept.status, (JSON.parse(kept.body) as { added: boolean }).added], [200, false])
  const many = await post([{ action: 'test/ok' }, { action: 'test/ok', options: { creator: 'lee' } }])
  const { tasks } = JSON.parse(many.body) as { tasks: { task: { creator: string } }[] }
  assert.deepEqual([many.status, tasks.map(entry => entry.task.creator)], [201, ['shop', 'lee']])
  for (const name of [String(task.id), task.uid]) {
    const read = await panel.ask({ url: `/api/v1/tasks/${name}`, headers: bearing(text), from })
    assert.equal(read.status, 200)
    const answer = JSON.parse(read.body) as { task: { id: number; params: unknown; state: string }; runs: unknown[] }
    assert.deepEqual([answer.task.id, answer.task.params, answer.task.state, answer.runs], [task.id, { a: '<b>' }, 'waiting', []])
  }
  const acts = await listAudit(panel.background.db, { limit: 3, userName: `shop (token ${id})` })
  assert.deepEqual([...new Set(acts.map(({ via, ip }) => `${via} ${ip}`))], [`token ${from}`])
})

test('a unique key does not reach beyond the scopes: no look at a task of another action, and none is replaced', async () => {
  const secret = await panel.background.addTask('test/fails', { of: 'somebody else' }, { unique: 'theirs', delayMs: 3_600_000 })
  const from = freshAddress()
  const post = async (token: string, body: unknown) =>
    panel.ask({ method: 'POST', url: '/api/v1/tasks', headers: { ...bearing(token), ...json }, body: JSON.stringify(body), from })
  for (const scopes of [['task:add:test/ok'], ['task:add:test/ok', 'task:read', 'task:control']]) {
    const { text } = await made(scopes)
    const before = panel.snapshot()
    for (const onConflict of ['keep', 'replace', 'reject']) {
      const wish = { action: 'test/ok', options: { unique: 'theirs', onConflict } }
      for (const body of [wish, [{ action: 'test/ok' }, wish]]) {
        const answer = await post(text, body)
        assert.deepEqual([answer.status, told(answer).code], [409, 'conflict'], onConflict)
        assert.ok(!answer.body.includes('somebody') && !answer.body.includes('fails') && !answer.body.includes(secret.uid))
      }
    }
    assert.equal(panel.snapshot(), before)
  }
  const both = await made(['task:add:test/*'])
  const replaced = await post(both.text, { action: 'test/ok', options: { unique: 'theirs', onConflict: 'replace' } })
  assert.deepEqual([replaced.status, (JSON.parse(replaced.body) as { replaced: number }).replaced], [201, secret.id])
})

test('acting on a task: by id or uid, with the sentences of the library', async () => {
  const { text, id: token } = await made(['task:control'], { name: 'ops' })
  const from = freshAddress()
  const post = (path: string, more: Partial<Asked> = {}) =>
    panel.ask({ method: 'POST', url: `/api/v1/tasks/${path}`, from, ...more, headers: { ...bearing(text), ...more.headers } })
  const { id, uid } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const cancelled = await post(`${uid}/cancellation`, { headers: json, body: '{}' })
  assert.deepEqual([cancelled.status, (JSON.parse(cancelled.body) as { task: { state: string } }).task.state], [200, 'cancelled'])
  const again = await post(`${id}/cancellation`)
  assert.deepEqual(
    [again.status, told(again)],
    [409, { code: 'busy', message: `Task ${id} is cancelled; only a waiting or running one can be cancelled. Nothing is left to do.` }],
  )
  assert.equal((await post(`${id}/retry`, { headers: json, body: '' })).status, 200)
  for (const noun of ['start', 'stop', 'restart'])
    assert.match(told(await post(`${id}/${noun}`)).message, /is a ONCE task, and only a loop/)
  for (const name of ['999999', '0', '-1', '1e9', 'constructor', '..%2f..%2fetc', 'x'.repeat(16), '9'.repeat(30), '1%00']) {
    const answer = await post(`${name}/retry`)
    assert.deepEqual([answer.status, told(answer).code], [404, 'not-found'], name)
  }
  const surplus = await post(`${id}/retry`, { headers: json, body: '{"force": true}' })
  assert.match(told(surplus).message, /this address takes none/)
  const acts = (await listAudit(panel.background.db, { limit: 3, userName: `ops (token ${token})`, subject: String(id) })).map(
    ({ act }) => act,
  )
  assert.ok(acts.includes('task-start-failed') || acts.includes('task-restart-failed'), acts.join())
})

test('the addresses that act on GET act for a token at once, never ahead of their use, and never on hold', async t => {
  const { text, id } = await made(['loop:restart'], { name: 'deploy' })
  const from = freshAddress()
  const visit = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
    panel.ask({ method, url, headers: { ...bearing(text), ...headers }, from })
  const flag = runtimePaths(panel.runtime).stop
  const restart = '/admin/core/bgtask/restart'
  assert.deepEqual(JSON.parse((await visit(restart)).body), { asked: false, sentence: 'The supervisor does not run.' })
  panel.standIn()
  t.after(panel.standDown)
  for (const headers of [
    { 'sec-purpose': 'prefetch' },
    { 'sec-purpose': 'prefetch;prerender' },
    { purpose: 'prefetch' },
    { 'x-moz': 'prefetch' },
  ] as Record<string, string>[]) {
    for (const url of [restart, '/admin']) {
      const answer = await visit(url, headers)
      assert.deepEqual([answer.status, told(answer).code], [403, 'fetched-ahead'])
    }
  }
  for (const method of ['HEAD', 'POST', 'OPTIONS', 'PUT']) {
    const { status } = await visit(restart, json, method)
    assert.ok(status >= 400, `${method} ${status}`)
  }
  assert.equal(readFlag(flag), null)
  const stopped = await visit(restart)
  assert.equal(stopped.status, 202, stopped.body)
  assert.equal(readFlag(flag)?.by, `deploy (token ${id})`)
  assert.equal((await visit(restart)).status, 200, 'it is stopping already')
  const [row] = await listAudit(panel.background.db, { limit: 1, act: 'loop-stopped' })
  assert.deepEqual([row?.userName, row?.via, row?.ip], [`deploy (token ${id})`, 'token', from])
  panel.standDown()
  const held = await visit('/admin')
  assert.deepEqual([held.status, told(held).code], [409, 'hold'])
  const heldToo = await visit('/api/v1/loop/restart', {}, 'POST')
  assert.deepEqual([heldToo.status, told(heldToo).code], [409, 'busy'])
  assert.equal(readSupervisor(panel.runtime), null)
})

test('a deploy: stop and start by two visits, or both by one POST, with real supervisors', async t => {
  const { text, id } = await made(['loop:restart'], { name: 'deploy' })
  const from = freshAddress()
  const headers = bearing(text)
  releaseHold(panel.runtime)
  t.after(async () => {
    await panel.endLoop()
    hold(panel.runtime, 'the test', Date.now())
  })
  const began = await panel.ask({ url: '/admin', headers, from })
  assert.equal(began.status, 202, began.body)
  const first = await until('a supervisor is up', () => readSupervisor(panel.runtime))
  assert.equal((await panel.ask({ url: '/admin', headers, from })).status, 200)
  const restarted = await panel.ask({ method: 'POST', url: '/api/v1/loop/restart', headers, from })
  assert.equal(restarted.status, 200, restarted.body)
  const second = await until('another supervisor is up', () => readSupervisor(panel.runtime))
  assert.notEqual(second.epoch, first.epoch)
  assert.equal((JSON.parse(restarted.body) as { pid: number }).pid, second.pid)
  passTime(10_000)
  assert.equal((await panel.ask({ url: '/admin/core/bgtask/restart', headers, from })).status, 202)
  // As curl --retry does it.
  const third = await until('the panel starts the next one', async () => {
    const answer = await panel.ask({ url: '/admin', headers, from })
    if (answer.status === 503) assert.ok(Number(answer.headers['retry-after']) >= 1)
    return answer.status === 202 ? answer : null
  })
  assert.equal((JSON.parse(third.body) as { state: string }).state, 'started')
  await until('the third supervisor is up', () => readSupervisor(panel.runtime))
  const tooSoon = await panel.ask({ url: '/admin/core/bgtask/restart', headers, from })
  assert.equal(tooSoon.status, 429, tooSoon.body)
  assert.ok(Number(tooSoon.headers['retry-after']) >= 1)
  const acts = await listAudit(panel.background.db, { limit: 50, userName: `deploy (token ${id})` })
  assert.deepEqual(acts.map(({ act }) => act).reverse(), ['loop-started', 'loop-stopped', 'loop-started', 'loop-stopped', 'loop-started'])
})

test('the use of a token is noted, with its address, and no request waits for it', async () => {
  const { text, id } = await made(['task:read'])
  const from = freshAddress()
  const used = () => panel.sql('SELECT last_used_at AS at, last_used_ip AS ip FROM bg_token WHERE id = ?', id)[0]!
  assert.deepEqual({ ...used() }, { at: null, ip: null })
  await panel.ask({ url: '/api/v1/tasks/1', headers: bearing(text), from })
  const first = await until('the use is noted', () => (used().at === null ? null : { ...used() }))
  assert.equal(first.ip, from)
  await panel.ask({ url: '/api/v1/tasks/1', headers: bearing(text), from: freshAddress() })
  assert.deepEqual({ ...used() }, first, 'once a minute')
  panel.sql('UPDATE bg_token SET last_used_at = last_used_at - 61000 WHERE id = ?', id)
  const next = freshAddress()
  await panel.ask({ url: '/api/v1/tasks/1', headers: bearing(text), from: next })
  await until('the next use is noted', () => used().ip === next)
})

test('revoking holds from the next request on', async () => {
  const { text, id } = await made(['task:read'])
  const task = await onceTask()
  const from = freshAddress()
  const ask = async () => (await panel.ask({ url: `/api/v1/tasks/${task}`, headers: bearing(text), from })).status
  assert.equal(await ask(), 200)
  await revokeToken(panel.background.db, { name: 'admin', ip: null, via: 'form' }, id)
  assert.equal(await ask(), 401)
})

test('limits: bad tokens by address, a token by itself, each with 429 and when to come again', async () => {
  const { text } = await made(['task:read'])
  const id = await onceTask()
  const from = freshAddress()
  const get = (headers: Record<string, string>, address: string) => panel.ask({ url: `/api/v1/tasks/${id}`, headers, from: address })
  const refused = async () =>
    (await listAudit(panel.background.db, { limit: 1_000, act: 'token-refused' })).filter(({ ip }) => ip === from).length
  for (let tries = 0; tries < rateLimits.badToken.max; tries++) assert.equal((await get(bearing('bgt_1_wrong'), from)).status, 401)
  const slowed = await get(bearing('bgt_1_wrong'), from)
  assert.deepEqual([slowed.status, told(slowed).code], [429, 'rate-limited'])
  assert.ok(Number(slowed.headers['retry-after']) >= 1 && Number(slowed.headers['retry-after']) <= 60)
  assert.equal(await refused(), rateLimits.badToken.max, 'what is beyond the limit fills no audit')
  assert.equal((await get(bearing(text), from)).status, 200, 'who has a good one is not shut out by it')
  assert.equal((await get(bearing('bgt_1_wrong'), freshAddress())).status, 401)

  const { text: busy } = await made(['task:read'])
  const half = rateLimits.token.max / 2
  const [here, there] = [freshAddress(), freshAddress()]
  for (const address of [here, there]) {
    for (let sent = 0; sent < half; sent += 50) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => get(bearing(busy), address)))
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    }
  }
  const over = await get(bearing(busy), freshAddress())
  assert.deepEqual([over.status, told(over).code], [429, 'rate-limited'])
  assert.ok(Number(over.headers['retry-after']) >= 1)
  assert.equal((await get(bearing(text), here)).status, 200, 'another token from the same place is not meant')

  const flooding = freshAddress()
  const statuses = new Set<number>()
  for (let sent = 0; sent <= rateLimits.api.max; sent += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => get({}, flooding)))
    for (const { status } of answers) statuses.add(status)
  }
  assert.deepEqual([...statuses].sort(), [401, 429])
})
