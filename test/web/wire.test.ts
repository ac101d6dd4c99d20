import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { httpLimits } from '../../app/web/http-server.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let admin: SignedIn
let host: string

before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
  host = `Host: 127.0.0.1:${panel.port}`
})
after(() => panel.close())

/** Everything that comes back until the panel closes; fails when it does not within the time. */
const untilClosed = (bytes: string | Buffer, withinMs = 2_500): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(panel.port, '127.0.0.1', () => socket.write(bytes))
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the connection is still open; so far: ${JSON.stringify(answer.slice(0, 300))}`))
    }, withinMs)
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
    })
    // A reset after the answer is a close like another.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(late)
      resolve(answer)
    })
  })

const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(found => Number(found[1]))
const headersOf = (answer: string) =>
  new Map(
    answer
      .slice(0, answer.indexOf('\r\n\r\n'))
      .split('\r\n')
      .slice(1)
      .map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )

/** What every answer has to say, whatever it answers. */
const assertGuarded = (headers: { get(name: string): string | null | undefined }, what: string, { cached = false } = {}) => {
  const policy = headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'/, what)
  assert.match(policy, /frame-ancestors 'none'/, what)
  assert.match(policy, /base-uri 'none'/, what)
  assert.doesNotMatch(policy, /unsafe|http:|https:|\*/, what)
  assert.equal(headers.get('x-content-type-options'), 'nosniff', what)
  assert.equal(headers.get('x-frame-options'), 'DENY', what)
  assert.equal(headers.get('referrer-policy'), 'same-origin', what)
  assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin', what)
  assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin', what)
  if (cached) assert.match(headers.get('cache-control') ?? '', /immutable/, what)
  else assert.equal(headers.get('cache-control'), 'no-store', what)
  assert.ok(!headers.get('strict-transport-security'), `${what}: HSTS without TLS`)
  assert.ok(!headers.get('access-control-allow-origin'), what)
  assert.ok(!headers.get('x-powered-by') && !headers.get('server'), what)
}

/** No place in our code, no stack, no word of the parts we are made of. */
const assertSilent = (body: string, what: string) =>
  assert.doesNotMatch(body, /\bat \S+ \(|node_modules|\.ts:\d|\.js:\d|FST_|HPE_|ERR_|fastify|Error:/i, what)

const form = `Origin: ${'http://127.0.0.1'}:PORT\r\nContent-Type: application/x-www-form-urlencoded`
const withPort = (text: string) => text.replaceAll('PORT', String(panel.port))

/** Requests that two parsers might read differently, each with a second one hidden behind it. */
const hidden = () => `GET /healthz HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`
const smuggled = (): Record<string, string> => {
  const post = `POST /admin/login HTTP/1.1\r\n${host}\r\n${withPort(form)}\r\n`
  return {
    'length and chunks': `${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden()}`,
    'chunks and length': `${post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${hidden()}`,
    'two lengths': `${post}Content-Length: 0\r\nContent-Length: 30\r\n\r\n${hidden()}`,
    'two lengths in one': `${post}Content-Length: 0, 30\r\n\r\n${hidden()}`,
    'a length with a sign': `${post}Content-Length: +5\r\n\r\nabcde${hidden()}`,
    'a negative length': `${post}Content-Length: -5\r\n\r\n${hidden()}`,
    'a length in hex': `${post}Content-Length: 0x5\r\n\r\nabcde${hidden()}`,
    'an endless length': `${post}Content-Length: ${'9'.repeat(40)}\r\n\r\n${hidden()}`,
    'an unknown encoding': `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden()}`,
    'chunks that are not the last': `${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden()}`,
    'chunks twice': `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${hidden()}`,
    'a space before the colon': `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${hidden()}`,
    'a folded line': `${post}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${hidden()}`,
    'a bare line feed': `POST /admin/login HTTP/1.1\n${host}\nTransfer-Encoding: chunked\n\n0\n\n${hidden()}`,
    'a bare carriage return': `POST /admin/login HTTP/1.1\r\n${host}\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden()}`,
    'a NUL in a name': `${post}Transfer\0-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden()}`,
    'a NUL in a value': `${post}X: a\0b\r\n\r\n${hidden()}`,
    'no name': `${post}: chunked\r\n\r\n${hidden()}`,
    'no number of a chunk': `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n${hidden()}`,
    'a negative chunk': `${post}Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n${hidden()}`,
    'an endless chunk': `${post}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(30)}\r\nabc\r\n0\r\n\r\n${hidden()}`,
    'a chunk longer than it says': `${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n${hidden()}`,
    'a chunk that ends in a bare line feed': `${post}Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n${hidden()}`,
    'an extension with a carriage return': `${post}Transfer-Encoding: chunked\r\n\r\n0;\rx\r\n\r\n${hidden()}`,
  }
}

test('what can be read in two ways is refused, and nothing behind it is answered', async () => {
  for (const [what, bytes] of Object.entries(smuggled())) {
    const answer = await untilClosed(bytes)
    assert.deepEqual(statuses(answer), [400], `${what}: ${JSON.stringify(answer.slice(0, 200))}`)
    assertGuarded(headersOf(answer), what)
    assert.equal(headersOf(answer).get('connection'), 'close', what)
    assertSilent(answer, what)
  }
})

test('what is no HTTP/1 gets one tidy answer', async () => {
  const kinds: Record<string, string | Buffer> = {
    nonsense: 'nonsense\r\n\r\n',
    'a TLS hello': Buffer.from('16030100a5010000a10303', 'hex'),
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'HTTP/3.9': `GET / HTTP/3.9\r\n${host}\r\n\r\n`,
    'a method of nobody': `BREW /admin HTTP/1.1\r\n${host}\r\n\r\n`,
    'a method in small letters': `get /healthz HTTP/1.1\r\n${host}\r\n\r\n`,
    'a control character in the path': `GET /admin\x01 HTTP/1.1\r\n${host}\r\n\r\n`,
    'a space in the path': `GET /admin x HTTP/1.1\r\n${host}\r\n\r\n`,
    'two answers in one header': `GET / HTTP/1.1\r\n${host}\r\nX: a\rSet-Cookie: b\r\n\r\n`,
  }
  for (const [what, bytes] of Object.entries(kinds)) {
    const answer = await untilClosed(bytes)
    assert.deepEqual(statuses(answer), [400], `${what}: ${JSON.stringify(answer.slice(0, 200))}`)
    assertGuarded(headersOf(answer), what)
    assertSilent(answer, what)
  }
})

test('the head of a request has a size and a number of lines, at which it ends', async () => {
  const large: Record<string, string> = {
    'a long path': `GET /${'a'.repeat(httpLimits.headerBytes)} HTTP/1.1\r\n${host}\r\n\r\n`,
    'a long line': `GET / HTTP/1.1\r\n${host}\r\nX: ${'a'.repeat(httpLimits.headerBytes)}\r\n\r\n`,
    'a long name': `GET / HTTP/1.1\r\n${host}\r\n${'a'.repeat(httpLimits.headerBytes)}: x\r\n\r\n`,
    'many lines': `GET / HTTP/1.1\r\n${host}\r\n${'a: b\r\n'.repeat(httpLimits.headers)}\r\n`,
    'very many lines': `GET / HTTP/1.1\r\n${host}\r\n${'a: b\r\n'.repeat(2_500)}\r\n`,
  }
  for (const [what, bytes] of Object.entries(large)) {
    const answer = await untilClosed(bytes)
    assert.deepEqual(statuses(answer), [431], what)
    assertGuarded(headersOf(answer), what)
    assertSilent(answer, what)
  }
  const most = `GET /healthz HTTP/1.1\r\n${host}\r\nConnection: close\r\n${'a: b\r\n'.repeat(httpLimits.headers - 2)}\r\n`
  assert.deepEqual(statuses(await untilClosed(most)), [200])
})

test('methods and wishes that nobody has here are refused tidily', async () => {
  const refused: [string, string, number][] = [
    ['CONNECT', `CONNECT evil.example:443 HTTP/1.1\r\n${host}\r\n\r\n`, 405],
    ['CONNECT to ourselves', `CONNECT 127.0.0.1:${panel.port} HTTP/1.1\r\n${host}\r\n\r\n${hidden()}`, 405],
    ['TRACE', `TRACE /admin HTTP/1.1\r\n${host}\r\nCookie: secret=1\r\nConnection: close\r\n\r\n`, 405],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`, 404],
    [
      'a preflight',
      `OPTIONS /admin/core/bgtask HTTP/1.1\r\n${host}\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n`,
      405,
    ],
    ['another expectation', `POST /admin/login HTTP/1.1\r\n${host}\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na`, 417],
    ['PROPFIND', `PROPFIND /admin HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`, 405],
  ]
  for (const [what, bytes, status] of refused) {
    const answer = await untilClosed(bytes)
    assert.deepEqual(statuses(answer), [status], `${what}: ${JSON.stringify(answer.slice(0, 200))}`)
    assertGuarded(headersOf(answer), what)
    assertSilent(answer, what)
    assert.doesNotMatch(answer, /secret=1/, 'TRACE echoes nothing')
  }
})

test('an Upgrade is answered as if nobody had asked for it, behind all guards', async () => {
  for (const protocol of ['websocket', 'h2c', 'TLS/1.2', 'evil']) {
    const upgrade = (path: string, own = host) =>
      `GET ${path} HTTP/1.1\r\n${own}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`
    // Whatever comes behind is another protocol's or another request's: neither is answered.
    assert.deepEqual(statuses(await untilClosed(upgrade('/admin') + hidden())), [303], protocol)
    assert.deepEqual(statuses(await untilClosed(upgrade('/admin', 'Host: evil.example') + hidden())), [421], protocol)
  }
})

test('Expect: 100-continue goes on to the same guards', async () => {
  const post = (origin: string) =>
    `POST /admin/preferences HTTP/1.1\r\n${host}\r\nOrigin: ${origin}\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b`
  assert.deepEqual(statuses(await untilClosed(post('http://evil.example'))), [100, 403])
})

test('a body that stops in the middle, or goes wrong there, changes nothing and leaves nothing open', async () => {
  const before = panel.snapshot()
  const body = new URLSearchParams({ _csrf: admin.csrf, action: 'test/ok', params: '{}' }).toString()
  const head = `POST /admin/core/bgtask HTTP/1.1\r\n${host}\r\n${withPort(form)}\r\nCookie: ${admin.cookie}\r\n`
  const chunk = `${body.length.toString(16)}\r\n${body}\r\n`
  // All of the form has come, and then what is no chunk: it was not the whole body.
  assert.deepEqual(statuses(await untilClosed(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}zz\r\n`)), [400])
  const socket = await opened()
  socket.end(`${head}Content-Length: ${body.length + 1}\r\n\r\n${body}`)
  await closed(socket)
  assert.equal(panel.snapshot(), before)
})

test('every kind of answer says what a browser needs to hear', async () => {
  const css = /href="(\/admin\/assets\/[^"]+\.css)"/.exec((await panel.ask({ url: '/admin/login' })).body)![1]!
  const asks: [number, Parameters<ListeningPanel['ask']>[0]][] = [
    [200, { url: '/admin/login' }],
    [200, { url: '/admin', as: admin }],
    [200, { url: '/healthz' }],
    [303, { url: '/' }],
    [303, { url: '/admin' }],
    [401, { url: '/admin/live?page=/admin', headers: { accept: 'text/event-stream' } }],
    [200, { url: '/admin/live?page=/admin', as: admin, headers: { 'sec-fetch-site': 'same-origin' } }],
    [403, { url: '/admin/live?page=/admin', as: admin }],
    [403, { method: 'POST', url: '/admin/logout' }],
    [404, { url: '/nowhere' }],
    [404, { url: '/admin/core/bgtask/99', as: admin }],
    [404, { url: '/admin/assets/x/y' }],
    [405, { method: 'HEAD', url: '/admin' }],
    [200, { method: 'HEAD', url: '/healthz' }],
    [405, { method: 'HEAD', url: '/admin/login' }],
    [405, { method: 'DELETE', url: '/admin/core/bgtask/1' }],
    [413, { method: 'POST', url: '/admin/core/bgtask', as: admin, body: { action: 'x'.repeat(300_000) } }],
    [
      415,
      { method: 'POST', url: '/admin/core/bgtask', as: admin, headers: { origin: panel.origin, 'content-type': 'text/plain' }, body: 'x' },
    ],
    [421, { url: '/admin', headers: { host: 'evil.example' } }],
    [421, { url: '/healthz', headers: { host: 'evil.example' } }],
    [421, { url: css, headers: { host: 'evil.example' } }],
    [421, { url: '/admin/%E0%A4%A', headers: { host: 'evil.example' } }],
    [400, { url: '/admin/%E0%A4%A' }],
  ]
  for (const [status, asked] of asks) {
    const what = `${status} ${asked.method ?? 'GET'} ${asked.url}`
    const answer = await panel.ask(asked)
    assert.equal(answer.status, status, `${what}: ${answer.body.slice(0, 200)}`)
    assertGuarded({ get: name => [answer.headers[name] ?? null].flat().join() || null }, what)
    assertSilent(answer.body, what)
  }
  const file = await panel.ask({ url: css })
  assertGuarded({ get: name => [file.headers[name] ?? null].flat().join() || null }, css, { cached: true })
})

test('what breaks inside is told under a reference, without a word about the inside', async t => {
  const broken = await listenPanel()
  t.after(() => broken.close())
  const signedIn = await broken.signIn('admin')
  // A fault no page expects: a table is gone.
  broken.sql('DROP TABLE bg_host')
  broken.sql('DROP TABLE bg_run')
  broken.sql('ALTER TABLE bg_task RENAME TO bg_gone')
  const answer = await broken.ask({ url: '/admin/core/bgtask', as: signedIn })
  assert.equal(answer.status, 500)
  assertGuarded({ get: name => [answer.headers[name] ?? null].flat().join() || null }, '500')
  assert.doesNotMatch(answer.body, /bg_task|bg_gone|SELECT|sqlite|\bat \S+ \(|node_modules/i)
  assert.match(answer.body, /reference/)
})

test('HEAD of a page, and every method that an address does not take, acts nowhere and names what is taken', async () => {
  const before = panel.snapshot()
  const addresses: [string, string][] = [
    ['/admin', 'GET'],
    ['/admin/core/bgtask', 'GET, POST'],
    ['/admin/core/bgtask/restart', 'GET, POST'],
    ['/admin/core/bgtask/loop/start', 'POST'],
    ['/admin/core/bgtask/7/deletion', 'POST'],
    ['/admin/logout', 'POST'],
    ['/admin/login', 'GET, POST'],
  ]
  for (const [url, allowed] of addresses) {
    for (const method of ['HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', ...(allowed.includes('GET') ? [] : ['GET'])]) {
      const answer = await panel.ask({ method, url, as: admin, headers: { origin: panel.origin } })
      assert.equal(answer.status, 405, `${method} ${url}`)
      assert.equal(answer.headers.allow, allowed, `${method} ${url}`)
    }
  }
  assert.equal((await panel.ask({ method: 'DELETE', url: '/admin/nowhere' })).status, 404)
  assert.equal(panel.snapshot(), before)
})

const opened = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(panel.port, '127.0.0.1', () => resolve(socket))
    socket.on('error', reject)
    socket.resume()
  })
const closed = (socket: Socket): Promise<void> => new Promise(resolve => socket.once('close', () => resolve()))
