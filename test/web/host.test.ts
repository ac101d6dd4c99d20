import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ListeningPanel, listenPanel } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
/** Behind a proxy with TLS on this machine, whose headers are believed. */
let proxied: ListeningPanel

before(async () => {
  panel = await listenPanel()
  proxied = await listenPanel({ env: { BGTASK_PUBLIC_URL: 'https://panel.example.com' } })
})
after(async () => {
  await panel.close()
  await proxied.close()
})

/** Statuses of the answers, one after another. */
const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(found => Number(found[1]))
const requests = (path: string) => [`GET ${path}`, `HEAD ${path}`, `POST ${path}`, `OPTIONS ${path}`, `PUT ${path}`]
const ask = async (to: ListeningPanel, start: string, lines: readonly string[], version = '1.1') =>
  statuses(
    await to.wire(
      `${start} HTTP/${version}\r\n${[...lines, 'Connection: close', 'Content-Length: 0'].map(line => `${line}\r\n`).join('')}\r\n`,
    ),
  )

test('names of ours, as a browser writes them', async () => {
  for (const name of ['127.0.0.1', 'localhost', 'LOCALHOST', 'LocalHost', '[::1]']) {
    assert.deepEqual(await ask(panel, 'GET /healthz', [`Host: ${name}:${panel.port}`]), [200], name)
  }
  // Space around a value is no part of it.
  assert.deepEqual(await ask(panel, 'GET /healthz', [`Host: \t 127.0.0.1:${panel.port} \t`]), [200])
  assert.deepEqual(await ask(panel, 'GET /healthz', [`hOsT:127.0.0.1:${panel.port}`]), [200])
})

const wrongHosts = (port: number): string[] => [
  '',
  '127.0.0.1',
  'localhost',
  '[::1]',
  `127.0.0.1:${port + 1}`,
  `127.0.0.1:0${port}`,
  `127.0.0.1:+${port}`,
  `127.0.0.1:${port}.0`,
  `127.0.0.1:${port}:${port}`,
  '127.0.0.1:',
  '127.0.0.1:0',
  '127.0.0.1:99999999',
  `127.0.0.1 :${port}`,
  `127.0.0.1: ${port}`,
  `127.0.0.1\t:${port}`,
  `127.0.0.1.:${port}`,
  `localhost.:${port}`,
  `localhost..:${port}`,
  `.localhost:${port}`,
  `x.localhost:${port}`,
  `localhost.localdomain:${port}`,
  `localhost.evil.example:${port}`,
  `127.0.0.1.nip.io:${port}`,
  `evil.example:${port}`,
  `127.1:${port}`,
  `127.0.0.2:${port}`,
  `0x7f.0.0.1:${port}`,
  `2130706433:${port}`,
  `017700000001:${port}`,
  `127.000.000.001:${port}`,
  `0.0.0.0:${port}`,
  `0:${port}`,
  `[::]:${port}`,
  `::1:${port}`,
  `[0:0:0:0:0:0:0:1]:${port}`,
  `[::0001]:${port}`,
  `[::ffff:127.0.0.1]:${port}`,
  `[::1%lo]:${port}`,
  `[::1`,
  `user@127.0.0.1:${port}`,
  `user:pass@127.0.0.1:${port}`,
  `127.0.0.1:${port}@evil.example`,
  `127.0.0.1:${port}#`,
  `127.0.0.1:${port}/`,
  `127.0.0.1:${port}?x`,
  `127.0.0.1:${port}, evil.example`,
  `evil.example, 127.0.0.1:${port}`,
  `"127.0.0.1:${port}"`,
  `127.0.0.1%00:${port}`,
  `http://127.0.0.1:${port}`,
  `１２７.0.0.1:${port}`,
  `ⓛocalhost:${port}`,
  'constructor',
  '__proto__',
]

test('every other name is refused, whatever is asked for and by which method', async () => {
  for (const host of wrongHosts(panel.port)) {
    assert.deepEqual(await ask(panel, 'GET /healthz', [`Host: ${host}`]), [421], JSON.stringify(host))
  }
  const paths = [
    '/',
    '/admin',
    '/admin/login',
    '/admin/live?page=/admin',
    '/admin/assets/x/y',
    '/demo',
    '/api/v1/tasks',
    '/nowhere',
    '/admin/%E0%A4%A',
    `/${'a'.repeat(5_000)}`,
  ]
  for (const start of paths.flatMap(requests)) {
    assert.deepEqual(await ask(panel, start, ['Host: evil.example']), [421], start)
  }
})

test('what no HTTP allows in a name is no request at all', async () => {
  for (const host of [`127.0.0.1:${panel.port}\0`, `127.0.0.1:${panel.port}\x7f`, `127.0.0.1:${panel.port}\x01`]) {
    assert.deepEqual(await ask(panel, 'GET /healthz', [`Host: ${host}`]), [400], JSON.stringify(host))
  }
})

test('no Host, two of them, or one behind all others', async () => {
  const own = `Host: 127.0.0.1:${panel.port}`
  assert.deepEqual(await ask(panel, 'GET /healthz', []), [421])
  assert.deepEqual(await ask(panel, 'GET /healthz', [], '1.0'), [421])
  assert.deepEqual(await ask(panel, 'GET /healthz', [own], '1.0'), [200])
  for (const two of [
    [own, own],
    [own, 'Host: evil.example'],
    ['Host: evil.example', own],
    [own, 'hOST: evil.example'],
    [own, 'Host:'],
  ])
    assert.deepEqual(await ask(panel, 'GET /healthz', two), [421], two.join())
  // What is beyond the limit of lines is not looked at, so a second name must not hide there.
  for (const count of [90, 97, 98, 99, 150, 400]) {
    const lines = [own, ...Array.from({ length: count }, (_, at) => `x-${at}: 1`), 'Host: evil.example']
    assert.ok([421, 431].includes((await ask(panel, 'GET /healthz', lines))[0]!), String(count))
  }
  // A name of another header that ends in Host is none.
  assert.deepEqual(await ask(panel, 'GET /healthz', [`X-Host: 127.0.0.1:${panel.port}`]), [421])
  // A line that goes on in the next one has no place any more.
  assert.deepEqual(await ask(panel, 'GET /healthz', ['Host:', ` 127.0.0.1:${panel.port}`]), [400])
  assert.deepEqual(await ask(panel, 'GET /healthz', [`Host : 127.0.0.1:${panel.port}`]), [400])
})

test('a whole address in place of a path is refused, also our own', async () => {
  const own = `127.0.0.1:${panel.port}`
  for (const url of [
    `http://${own}/healthz`,
    `HTTP://${own}/healthz`,
    'http://evil.example/healthz',
    'https://evil.example/healthz',
    `//${own}/healthz`,
  ]) {
    const [status] = await ask(panel, `GET ${url}`, [`Host: ${own}`])
    assert.equal(status, url.startsWith('//') ? 404 : 421, url)
  }
  for (const url of [own, 'healthz', '*', '?x', '#', 'javascript:alert(1)', 'data:,x', '\\\\evil.example']) {
    const [status] = await ask(panel, `GET ${url}`, [`Host: ${own}`])
    assert.ok(status === 421 || status === 400, `${url}: ${status}`)
  }
})

test('a second request on the same connection is looked at like the first', async () => {
  const good = `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\n\r\n`
  const bad = 'GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n'
  const last = `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nConnection: close\r\n\r\n`
  assert.deepEqual(statuses(await panel.wire(good + bad + last)), [200, 421, 200])
})

test('BGTASK_PUBLIC_URL: its name and no other, and nothing that a proxy says about it', async () => {
  for (const host of ['panel.example.com', 'PANEL.example.com', 'panel.example.com:443', `127.0.0.1:${proxied.port}`]) {
    assert.deepEqual(await ask(proxied, 'GET /healthz', [`Host: ${host}`]), [200], host)
  }
  for (const host of [
    'panel.example.com:80',
    `panel.example.com:${proxied.port}`,
    'panel.example.com.',
    'xpanel.example.com',
    'panel.example.com.evil.example',
    'panel-example.com',
    'evil.example',
  ])
    assert.deepEqual(await ask(proxied, 'GET /healthz', [`Host: ${host}`]), [421], host)
  // The proxy is trusted for who asks, and never for what name was asked for.
  for (const said of [
    'X-Forwarded-Host: panel.example.com',
    'Forwarded: host=panel.example.com',
    'X-Host: panel.example.com',
    'X-Original-Host: panel.example.com',
    'X-Forwarded-Server: panel.example.com',
  ]) {
    assert.deepEqual(await ask(proxied, 'GET /healthz', ['Host: evil.example', said]), [421], said)
  }
  assert.deepEqual(await ask(proxied, 'GET /healthz', ['Host: panel.example.com', 'X-Forwarded-Host: evil.example']), [200])
})

test('HOST as a number is a name of the panel, for no name can be rebound to it', async t => {
  const other = await listenPanel({ env: { HOST: '127.0.0.9' } })
  t.after(() => other.close())
  assert.deepEqual(await ask(other, 'GET /healthz', [`Host: 127.0.0.9:${other.port}`]), [200])
  assert.deepEqual(await ask(other, 'GET /healthz', [`Host: 127.0.0.8:${other.port}`]), [421])
  const everywhere = await listenPanel({ env: { HOST: '0.0.0.0', BGTASK_INSECURE_LISTEN: 'on' } })
  t.after(() => everywhere.close())
  assert.deepEqual(await ask(everywhere, 'GET /healthz', [`Host: 0.0.0.0:${everywhere.port}`]), [421])
})
