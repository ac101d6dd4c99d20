import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { after, before, test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { routeRoles } from '../../app/web/roles.ts'
import { type ListeningPanel, listenPanel, type SignedIn, tokenIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
let admin: SignedIn
before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
})
after(() => panel.close())

const byReader = { 'sec-fetch-site': 'same-origin', 'accept-encoding': 'gzip, deflate, br, zstd' }

/** The bytes as they go over the wire. */
const bytes = async (
  path: string,
  headers: Record<string, string> = byReader,
  { method = 'GET', body = '' } = {},
): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> => {
  const form = body === '' ? {} : { 'content-type': 'application/x-www-form-urlencoded', origin: panel.origin }
  const all = { host: `127.0.0.1:${panel.port}`, cookie: admin.cookie, ...form, ...headers }
  const asking = request({ host: '127.0.0.1', port: panel.port, path, method, headers: all, agent: false }).end(body)
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  return { status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(chunks) }
}
const encodingOf = async (headers: Record<string, string>, path = '/admin/core/bgtask') =>
  (await bytes(path, headers)).headers['content-encoding']

test('a page is sent as the browser can read it, and is the same page', async () => {
  const plain = await bytes('/admin/core/bgtask', {})
  const [br, gz] = await Promise.all([bytes('/admin/core/bgtask'), bytes('/admin/core/bgtask', { ...byReader, 'accept-encoding': 'gzip' })])
  assert.deepEqual(
    [plain, br, gz].map(({ headers }) => headers['content-encoding']),
    [undefined, 'br', 'gzip'],
  )
  const withoutToken = (html: Buffer) =>
    html
      .toString()
      .replaceAll(/name="_csrf" value="[^"]*"/g, '')
      .replaceAll(/<time[^>]*>[^<]*/g, '')
  assert.equal(withoutToken(brotliDecompressSync(br.body)), withoutToken(plain.body))
  assert.equal(withoutToken(gunzipSync(gz.body)), withoutToken(plain.body))
  assert.equal(br.headers['content-length'], String(br.body.length))
  assert.match(br.headers['content-type']!, /^text\/html/)
  assert.match(br.headers.vary!, /accept-encoding, sec-fetch-site/)
  assert.ok(br.body.length * 3 < plain.body.length)
  assert.equal(await encodingOf({ ...byReader, 'accept-encoding': 'br;q=0, gzip' }), 'gzip')
  assert.equal(await encodingOf({ ...byReader, 'accept-encoding': 'br;q=0, gzip;q=0.0' }), undefined)
  assert.equal(await encodingOf({ ...byReader, 'accept-encoding': 'identity' }), undefined)
})

test('what a page elsewhere has a browser ask for is never compressed: its length tells nothing of what is in it', async () => {
  await panel.background.addTask('test/ok', {}, { creator: 'zq81xk' })
  for (const site of ['cross-site', 'same-site', 'Same-Origin', '', undefined]) {
    const foreign = { 'accept-encoding': 'gzip, br', ...(site === undefined ? {} : { 'sec-fetch-site': site }) }
    assert.equal(await encodingOf(foreign), undefined, site)
    const lengthOf = async (guess: string) => (await bytes(`/admin/core/bgtask?text=test&type=${guess}`, foreign)).body.length
    assert.equal(await lengthOf('zq81xk'), await lengthOf('7hw2bd'), site)
  }
  assert.equal(await encodingOf({ ...byReader, 'sec-fetch-site': 'none' }), 'br')
})

test('an answer to a form is not, and the token of forms is another one each time', async () => {
  const read = async () => tokenIn(brotliDecompressSync((await bytes('/admin/config/tokens/new')).body).toString())
  const [one, another] = [await read(), await read()]
  assert.notEqual(one, another)
  const body = new URLSearchParams({ _csrf: one, name: 'weighed', scope: 'task:read', life: '1' }).toString()
  const made = await bytes('/admin/config/tokens', byReader, { method: 'POST', body })
  assert.equal(made.status, 200, made.body.toString())
  assert.match(made.body.toString(), /bgt_\d+_/)
  assert.equal(made.headers['content-encoding'], undefined)
})

test('no page weighs more than 60 kB, and all that pages are made of together no more than 150 kB', async t => {
  await fill()
  const paths = [
    ...Object.keys(routeRoles)
      .filter(route => /^GET \/admin(?!\/(?:live|assets|login|setup)\b)[^:]*$/.test(route) && !/\.csv$|\/restart$/.test(route))
      .map(route => route.slice(4)),
    ...[
      '/core/bgtask?exec_type=FOREVER',
      '/core/bgtask?state=failed',
      '/core/bgtask?exec_type=FOREVER&state=stopped',
      '/core/bgtask/2',
      '/core/bgtask/120',
    ],
    ...['/core/bgtask/new?action=test/ok', '/core/bgtask/bulk?do=stop', '/core/bgtask/recovery?do=retry', '/config/users/1'],
  ].map(path => (path.startsWith('/admin') ? path : `/admin${path}`))
  assert.ok(paths.length > 25)
  const heavy: string[] = []
  const weights: [number, string][] = []
  const parts = new Set<string>()
  for (const path of paths) {
    const page = await bytes(path)
    weights.push([page.body.length, path])
    if (page.body.length > 60_000) heavy.push(`${path}: ${page.body.length}`)
    const html = page.headers['content-encoding'] === 'br' ? brotliDecompressSync(page.body).toString() : page.body.toString()
    for (const [, part] of html.matchAll(/(?:href|src)="([^"#]*\/assets\/[^"#]*)/g)) parts.add(part!)
  }
  assert.deepEqual(heavy, [])
  let sum = 0
  for (const part of parts) {
    const { headers, body, status } = await bytes(part)
    assert.equal(status, 200, part)
    assert.match(headers['cache-control']!, /max-age=31536000, immutable/, part)
    sum += body.length
  }
  t.diagnostic(
    `parts: ${sum} bytes; pages: ${weights
      .sort((a, b) => b[0] - a[0])
      .slice(0, 6)
      .map(([size, path]) => `${path} ${size}`)
      .join(', ')}`,
  )
  assert.ok(parts.size >= 5 && sum < 150_000, `${parts.size} parts of ${sum} bytes`)
})

/** Lists as long as they get, of rows with much to say. */
const fill = async () => {
  const long = (n: number) =>
    `order ${n * 7919} of customer ${n * 104_729} could not be charged: ${'the bank said no; '.repeat(6)}${n * 15_485_863}`
  const now = Date.now()
  await panel.background.addTasks(
    Array.from({ length: 60 }, (_, n) => ({
      action: 'test/forever',
      params: { shop: `shop ${n}`, note: long(n) },
      options: { execType: 'FOREVER' as const, type: `feeds-${n}`, creator: `person-${n}@shop.example` },
    })),
  )
  await panel.background.addTasks(
    Array.from({ length: 60 }, (_, n) => ({
      action: 'test/ok',
      params: { note: long(n) },
      options: { type: `orders-${n}`, creator: `person-${n}@shop.example` },
    })),
  )
  for (let n = 0; n < 60; n++) panel.sql('UPDATE bg_task SET content = ? WHERE params LIKE ?', long(n + 60), `%customer ${n * 104_729} %`)
  panel.sql("UPDATE bg_task SET state = 'failed', due = NULL, finished_at = ?, number = 1 WHERE action = 'test/ok' AND id % 2 = 0", now)
  // Each loop ended badly all the time.
  panel.sql(
    `WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 110)
     INSERT OR IGNORE INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome, content, exit_code)
     SELECT t.id, n.value, 'host', 'e', ? - (120 - n.value) * 150000 + t.id * 777, ? - (120 - n.value) * 150000 + t.id * 777 + 61000 + n.value * 313, 'exited', 'it left', 1
     FROM bg_task AS t, n WHERE t.exec_type = 'FOREVER'`,
    ...[now, now],
  )
  panel.sql("UPDATE bg_task SET number = 110, updated_at = updated_at + 1 WHERE exec_type = 'FOREVER'")
  const paths = runtimePaths(panel.runtime).run('2-110')
  mkdirSync(paths.folder, { recursive: true })
  writeFileSync(paths.output, Array.from({ length: 2_000 }, (_, n) => `2026-01-01T00:${n % 60}:0${n % 7}Z INFO ${long(n)}\n`).join(''))
}
