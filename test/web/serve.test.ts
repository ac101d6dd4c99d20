import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { findMarked } from '../../app/runs/process-identity.ts'
import { password, type ServedPanel, servePanel } from '../helpers/browser.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'

const root = join(import.meta.dirname, '..', '..')

/** A client with a cookie jar of its own, as simple as can be. */
const visitor = (panel: ServedPanel) => {
  const jar = new Map<string, string>()
  const ask = async (path: string, init: RequestInit = {}) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(panel.address + path, {
      redirect: 'manual',
      ...init,
      headers: { cookie, ...(init.headers as Record<string, string>) },
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
      jar.set(name!, value!)
    }
    return response
  }
  const send = async (form: string, path: string, fields: Record<string, string>) => {
    const token = /name="_csrf" value="([^"]+)"/.exec(await (await ask(form)).text())?.[1] ?? ''
    return ask(path, { method: 'POST', headers: { origin: panel.address }, body: new URLSearchParams({ _csrf: token, ...fields }) })
  }
  return { ask, send, signIn: () => send('/admin/login', '/admin/login', { name: 'admin', password }) }
}

/** What a browser says when a page of ours opens its stream. */
const byPage = { accept: 'text/event-stream', 'sec-fetch-site': 'same-origin' }

/** Due in an hour, so that no supervisor touches it, and long at work. */
const slowExport = {
  action: 'demo/csv-export',
  exec_type: 'ONCE',
  'params.rows': '1000000000',
  when: 'in',
  delay: '1',
  delay_unit: 'hours',
}

/** Live processes of debug runs of this panel: they carry its runtime folder in their environment. */
const debugRuns = (panel: ServedPanel) =>
  findMarked(mark => mark.startsWith('debug-')).filter(({ identity }) => {
    try {
      return readFileSync(`/proc/${identity.pid}/environ`, 'latin1').includes(`BGTASK_RUNTIME=${panel.runtime}\0`)
    } catch {
      return false
    }
  })

const serveHere = (env: Record<string, string>) =>
  spawnSync(process.execPath, [join(root, 'index.js'), 'serve'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_AUTOSTART: 'off', ...env },
    encoding: 'utf8',
    timeout: 20_000,
  })

test('a taken port, an unreachable database, a weak password: one sentence each, and the exit code', async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port } = other.address() as { port: number }
  const taken = serveHere({ BGTASK_RUNTIME: panel.runtime, PORT: String(port) })
  assert.equal(taken.status, 75)
  assert.match(taken.stderr, new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is taken: .*set PORT`))
  assert.equal(taken.stderr.trim().split('\n').length, 1)
  const away = serveHere({ BGTASK_RUNTIME: panel.runtime, PORT: '0', DATABASE_URL: 'mysql://somebody:geheim@127.0.0.1:1/none' })
  assert.equal(away.status, 78)
  assert.equal(away.stderr.trim().split('\n').length, 1)
  assert.doesNotMatch(away.stderr, /geheim/)
  const weak = serveHere({ BGTASK_RUNTIME: join(panel.runtime, 'another'), PORT: '0', BGTASK_ADMIN_PASSWORD: 'admin' })
  assert.equal(weak.status, 78)
  assert.match(weak.stderr, /BGTASK_ADMIN_PASSWORD/)
})

test('the one-time link: two at once make one administrator, and each start prints a fresh one', async t => {
  const panel = await servePanel(t)
  const { pathname: path, hash } = new URL(panel.setupLink!)
  const token = hash.slice(1)
  const tries = ['one', 'two'].map(name => visitor(panel).send(path, path, { name, password, repeated: password, token }))
  const statuses = (await Promise.all(tries)).map(({ status }) => status).sort()
  assert.deepEqual(statuses, [303, 410])
  assert.equal((await visitor(panel).ask(path)).status, 410)
  assert.match(token, /^[\w-]{43}$/, '256 bit')
})

test('it ends within three seconds, also with streams and a debug run open, and leaves nothing of the run', {
  timeout: 60_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const admin = visitor(panel)
  await admin.signIn()
  const streams = await Promise.all([1, 2, 3, 4].map(() => admin.ask('/admin/live?page=/admin', { headers: byPage })))
  for (const { status } of streams) assert.equal(status, 200)
  assert.equal((await admin.ask('/admin/live?page=/admin', { headers: byPage })).status, 429)
  const read = await streams[0]!.body!.getReader().read()
  assert.match(new TextDecoder().decode(read.value), /retry: 1000/)
  await admin.send('/admin/core/bgtask/new?action=demo/csv-export', '/admin/core/bgtask', slowExport)
  const debugging = await admin.send('/admin/core/bgtask/debug?id=1', '/admin/core/bgtask/debug', { id: '1' })
  assert.equal(debugging.status, 200)
  await until('the debug run runs', () => debugRuns(panel).length > 0)
  const from = performance.now()
  panel.process.kill('SIGTERM')
  const [code] = await once(panel.process, 'exit')
  assert.equal(code, 0)
  assert.ok(performance.now() - from < 3_000)
  assert.deepEqual(debugRuns(panel), [])
})

test('a stream ends with the session it belongs to', { timeout: 30_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const admin = visitor(panel)
  await admin.signIn()
  const stream = await admin.ask('/admin/live?page=/admin', { headers: byPage })
  const ended = (async () => {
    for await (const chunk of stream.body!) if (chunk === undefined) break
  })()
  await admin.send('/admin/account', '/admin/logout', {})
  await ended
  assert.equal((await admin.ask('/admin/live?page=/admin')).status, 303)
  assert.equal((await visitor(panel).ask('/admin/live?page=/admin', { headers: byPage })).status, 401)
})

test('a debug run is stopped at its time limit, and when the visitor leaves; the task is left alone', { timeout: 60_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const admin = visitor(panel)
  await admin.signIn()
  const added = await admin.send('/admin/core/bgtask/new?action=demo/csv-export', '/admin/core/bgtask', slowExport)
  assert.equal(added.headers.get('location'), '/admin/core/bgtask/1')
  const limited = await (await admin.send('/admin/core/bgtask/debug?id=1', '/admin/core/bgtask/debug', { id: '1', limit_s: '10' })).text()
  assert.match(limited, /It was stopped at the time limit\./)
  assert.match(limited, /<\/html>\s*$/)
  const { status, body } = await admin.send('/admin/core/bgtask/debug?id=1', '/admin/core/bgtask/debug', { id: '1' })
  assert.equal(status, 200)
  await until('the debug run runs', () => debugRuns(panel).length > 0)
  await body!.cancel()
  await until('the debug run has ended', () => debugRuns(panel).length === 0)
  assert.match(await (await admin.ask('/admin/core/bgtask/1')).text(), /it is not due yet/)
})

test('while the database is away the pages say since when, and all is well when it is back', {
  skip: mariadbMissing(),
  timeout: 120_000,
}, async t => {
  const server = await startMariaDb()
  t.after(() => server.stop())
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, DATABASE_URL: server.url })
  const admin = visitor(panel)
  await admin.signIn()
  assert.equal((await admin.ask('/admin')).status, 200)
  await server.kill()
  const away = await admin.ask('/admin')
  assert.equal(away.status, 503)
  const text = await away.text()
  assert.match(text, /The database does not answer/)
  assert.match(text, /Since <time datetime=/)
  assert.doesNotMatch(text, /bgtask:[^@]*@|at \w+ \(/, 'no secret and no stack')
  assert.equal((await admin.ask('/healthz')).status, 503)
  await server.restart()
  await until('it is back', async () => (await admin.ask('/admin')).status === 200, 20_000)
  assert.equal((await admin.ask('/healthz')).status, 200)
})
