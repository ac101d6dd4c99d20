import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { httpLimits } from '../../app/web/http-server.ts'
import { type Answer, type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let admin: SignedIn
const formType = 'application/x-www-form-urlencoded'

before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
})
after(() => panel.close())

/** A form that adds a task, but for what is wrong with it. */
const fields = (more: Record<string, string> = {}) =>
  new URLSearchParams({ _csrf: admin.csrf, action: 'test/ok', params: '{}', ...more }).toString()
const send = (
  headers: Record<string, string>,
  body: string | Buffer = fields(),
  url = '/admin/core/bgtask',
  method = 'POST',
): Promise<Answer> => panel.ask({ method, url, headers: { cookie: admin.cookie, ...headers }, body })
const own = () => ({ origin: panel.origin, 'content-type': formType })

const addsNothing = async (work: () => Promise<void>) => {
  const count = () => panel.sql('SELECT count(*) AS tasks FROM bg_task')[0]!.tasks
  const before = count()
  await work()
  assert.equal(count(), before)
}

test('the form itself is taken, so that what follows is refused for the one thing that is wrong', async () => {
  assert.equal((await send(own())).status, 303)
  assert.equal((await send({ 'sec-fetch-site': 'same-origin', 'content-type': formType })).status, 303)
  assert.equal((await send({ ...own(), 'content-type': `${formType};charset=UTF-8` })).status, 303)
})

test('bodies that a page elsewhere can send without asking are no form', async () => {
  await addsNothing(async () => {
    const types = [
      'text/plain',
      'text/plain;charset=UTF-8',
      'TEXT/PLAIN',
      `text/plain; ${formType}`,
      `text/plain,${formType}`,
      `${formType}x`,
      `x${formType}`,
      `${formType}/x`,
      'multipart/form-data',
      'multipart/form-data; boundary=x',
      'application/xml',
      'text/xml',
      'text/html',
      'application/octet-stream',
      'application/csp-report',
      'application/jsonx',
      '*/*',
      '/',
      'a',
    ]
    for (const type of types) {
      const { status } = await send({ ...own(), 'content-type': type })
      assert.ok(status === 415 || status === 400, `${type}: ${status}`)
    }
    // A beacon with a Blob brings no type at all.
    assert.equal((await send({ origin: panel.origin })).status, 415)
    const parts = [
      '--x',
      'Content-Disposition: form-data; name="_csrf"',
      '',
      admin.csrf,
      '--x',
      'Content-Disposition: form-data; name="action"',
      '',
      'test/ok',
      '--x--',
      '',
    ].join('\r\n')
    assert.equal((await send({ ...own(), 'content-type': 'multipart/form-data; boundary=x' }, parts)).status, 415)
    // Nobody unpacks what somebody has packed.
    assert.notEqual((await send({ ...own(), 'content-encoding': 'gzip' }, gzipSync(fields()))).status, 303)
  })
})

test('JSON needs the same token, and does not become another thing by it', async () => {
  const json = (value: unknown, more: Record<string, string> = {}) =>
    send({ origin: panel.origin, 'content-type': 'application/json', ...more }, typeof value === 'string' ? value : JSON.stringify(value))
  await addsNothing(async () => {
    const task = { action: 'test/ok', params: '{}' }
    for (const body of [
      task,
      { ...task, _csrf: 'wrong' },
      { ...task, _csrf: [admin.csrf] },
      { ...task, _csrf: { a: admin.csrf } },
      { ...task, _csrf: null },
      [],
      [task],
      'null',
      '1',
      '"x"',
      `"${admin.csrf}"`,
    ]) {
      assert.equal((await json(body)).status, 403, JSON.stringify(body))
    }
    for (const body of ['', '{', '{"a":', `{"__proto__": {"_csrf": "${admin.csrf}"}}`, `{"constructor": {"prototype": {"_csrf": "x"}}}`]) {
      assert.equal((await json(body)).status, 400, body)
    }
    assert.equal((await json({ ...task, _csrf: admin.csrf }, { origin: 'http://evil.example' })).status, 403)
  })
})

test('the token counts in the form alone', async () => {
  await addsNothing(async () => {
    const bare = new URLSearchParams({ action: 'test/ok', params: '{}' }).toString()
    for (const name of ['csrf-token', 'x-csrf-token', 'xsrf-token', 'x-xsrf-token', '_csrf'])
      assert.equal((await send({ ...own(), [name]: admin.csrf }, bare)).status, 403, name)
    assert.equal((await send(own(), bare, `/admin/core/bgtask?_csrf=${encodeURIComponent(admin.csrf)}`)).status, 403)
    assert.equal((await send({ ...own(), cookie: `${admin.cookie}; _csrf=${admin.csrf}` }, bare)).status, 403)
    // Twice: a list is no token, whichever of them is right.
    for (const twice of [`_csrf=wrong&${fields()}`, `${fields()}&_csrf=wrong`, fields().replace('_csrf=', '_csrf[]=')])
      assert.equal((await send(own(), twice)).status, 403)
  })
})

test('where a change comes from is said once and rightly', async () => {
  await addsNothing(async () => {
    const { port } = panel
    const wrong: Record<string, string>[] = [
      {},
      { referer: `${panel.origin}/admin` },
      { origin: 'null' },
      { origin: 'http://evil.example' },
      { origin: `http://127.0.0.1:${port + 1}` },
      { origin: `https://127.0.0.1:${port}` },
      { origin: `http://localhost:${port}` },
      { origin: `http://127.0.0.1:${port}.evil.example` },
      { origin: `http://127.0.0.1:${port}/` },
      { origin: `HTTP://127.0.0.1:${port}` },
      { origin: `${panel.origin}, ${panel.origin}` },
      { origin: `${panel.origin} http://evil.example` },
      { origin: panel.origin, 'sec-fetch-site': 'cross-site' },
      { origin: panel.origin, 'sec-fetch-site': 'same-site' },
      { origin: panel.origin, 'sec-fetch-site': 'none' },
      { origin: panel.origin, 'sec-fetch-site': '' },
      { origin: panel.origin, 'sec-fetch-site': 'same-origin, cross-site' },
      { origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' },
    ]
    for (const headers of wrong) {
      const answer = await send({ 'content-type': formType, ...headers })
      assert.equal(answer.status, 403, JSON.stringify(headers))
      assert.match(answer.body, /came from another site/)
    }
    const twice = await panel.wire(
      `POST /admin/core/bgtask HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nOrigin: ${panel.origin}\r\nOrigin: http://evil.example\r\nCookie: ${admin.cookie}\r\nContent-Type: ${formType}\r\nContent-Length: ${fields().length}\r\nConnection: close\r\n\r\n${fields()}`,
    )
    assert.match(twice, /^HTTP\/1\.1 403 /)
  })
})

test('a method is what it is: nothing in a form, an address or a header makes another of it', async () => {
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const overrides = ['x-http-method-override', 'x-http-method', 'x-method-override', '_method']
  await addsNothing(async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'COPY', 'LOCK']) {
      assert.equal((await send(own(), fields(), '/admin/core/bgtask', method)).status, 405, method)
      assert.equal((await send(own(), fields(), `/admin/core/bgtask/${id}`, method)).status, 405, method)
    }
    for (const name of overrides) {
      const looks = await panel.ask({
        url: `/admin/core/bgtask/${id}?${name}=DELETE&_method=DELETE`,
        as: admin,
        headers: { [name]: 'DELETE' },
      })
      assert.equal(looks.status, 200, name)
      assert.equal((await panel.ask({ url: '/admin/logout?_method=POST', as: admin, headers: { [name]: 'POST' } })).status, 405, name)
    }
  })
  // A GET with a body is a GET.
  assert.equal((await panel.ask({ url: '/admin/core/bgtask/new', as: admin, headers: own(), body: fields() })).status, 200)
  assert.equal((await panel.ask({ url: `/admin/core/bgtask/${id}`, as: admin })).status, 200)
  // A POST stays what its address says, whatever it brings along.
  const posted = await send({ ...own(), 'x-http-method-override': 'DELETE' }, fields({ _method: 'DELETE' }))
  assert.equal(posted.status, 303)
  assert.match(String(posted.headers.location), /^\/admin\/core\/bgtask\/\d+$/)
})

test('a body has a size, whoever sends it and however it is cut', async () => {
  await addsNothing(async () => {
    const large = fields({ note: 'x'.repeat(httpLimits.bodyBytes) })
    assert.equal((await send(own(), large)).status, 413)
    assert.equal(
      (await send({ origin: panel.origin, 'content-type': 'application/json' }, JSON.stringify({ a: 'x'.repeat(httpLimits.bodyBytes) })))
        .status,
      413,
    )
    const head = `POST /admin/core/bgtask HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nOrigin: ${panel.origin}\r\nCookie: ${admin.cookie}\r\nContent-Type: ${formType}\r\n`
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
    assert.match(
      await panel.wire(`${head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk.repeat(6)}0\r\n\r\n`),
      /^HTTP\/1\.1 413 /,
    )
    // Refused by what it says, before any of it has come.
    assert.match(await panel.wire(`${head}Content-Length: 99999999999\r\n\r\n`), /^HTTP\/1\.1 413 /)
  })
})

test('under BGTASK_PUBLIC_URL a change comes from a page of that very origin', async t => {
  const proxied = await listenPanel({ env: { BGTASK_PUBLIC_URL: 'https://panel.example.com' } })
  t.after(() => proxied.close())
  const refusal = async (host: string, origin: string) => {
    const headers = { host, origin, 'content-type': formType, 'x-forwarded-proto': 'https' }
    const { status, body } = await proxied.ask({ method: 'POST', url: '/admin/logout', headers, body: 'a=b' })
    assert.equal(status, 403)
    return /came from another site/.test(body) ? 'origin' : 'token'
  }
  const local = `127.0.0.1:${proxied.port}`
  assert.equal(await refusal('panel.example.com', 'https://panel.example.com'), 'token')
  assert.equal(await refusal('panel.example.com:443', 'https://panel.example.com'), 'token')
  assert.equal(await refusal(local, `http://${local}`), 'token')
  // Whoever can answer for http of the same name puts a page there.
  for (const [host, origin] of [
    ['panel.example.com', 'http://panel.example.com'],
    ['panel.example.com', 'https://panel.example.com:8443'],
    ['panel.example.com', `http://${local}`],
    [local, 'https://panel.example.com'],
    [local, `https://${local}`],
  ] as const)
    assert.equal(await refusal(host, origin), 'origin', `${host} ${origin}`)
})
