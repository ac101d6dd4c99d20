import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, beforeEach, test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { readCronKey, renewCronKey } from '../../app/cron/cron-key.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { cronRefusal } from '../../app/web/cron-address.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { type Asked, freshAddress, type ListeningPanel, listenPanel } from '../helpers/listening-panel.ts'
import { until } from '../helpers/scene.ts'

const who = { name: 'the test', ip: null, via: 'command-line' } as const
let panel: ListeningPanel
before(async () => {
  panel = await listenPanel()
})
beforeEach(() => {
  panel.sql("DELETE FROM bg_task WHERE action = 'core/cron'")
  panel.sql('UPDATE bg_cron SET asked_at = 1, lock_at = NULL, key_hash = NULL, every_ms = 0')
})
after(() => panel.close())
const toolsOf = ({ background, config }: Pick<ListeningPanel, 'background' | 'config'>) => ({ db: background.db, config })
const cronTasks = (panel: ListeningPanel) => panel.sql("SELECT * FROM bg_task WHERE action = 'core/cron' ORDER BY id")
/** As if the last run was asked for long ago. */
const longAgo = (panel: ListeningPanel) => panel.sql('UPDATE bg_cron SET asked_at = 1, lock_at = NULL')
const endTasks = (panel: ListeningPanel) =>
  panel.sql("UPDATE bg_task SET state = 'succeeded', held_key = NULL, due = NULL, finished_at = 1 WHERE action = 'core/cron'")

test('the address runs cron by GET and by POST, with the key in it or in a header; just after it says when to ask again', async () => {
  const key = (await renewCronKey(toolsOf(panel), who)).text!
  const ways: Asked[] = [
    { url: `/cron/${key}` },
    { url: `/cron/${key}`, method: 'POST' },
    { url: `/cron/${key}`, method: 'POST', body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    { url: '/cron', headers: { 'x-cron-key': key } },
    { url: '/cron', method: 'POST', headers: { 'x-cron-key': key } },
  ]
  for (const [index, way] of ways.entries()) {
    longAgo(panel)
    const answer = await panel.ask({ ...way, from: freshAddress() })
    assert.deepEqual([answer.status, answer.body], [204, ''], JSON.stringify(way))
    assert.equal(answer.headers['set-cookie'], undefined, 'it makes no session')
    assert.equal(cronTasks(panel).length, index + 1)
    const again = await panel.ask({ ...way, from: freshAddress() })
    assert.equal(again.status, 429)
    const seconds = Number(again.headers['retry-after'])
    assert.ok(seconds >= 1 && seconds <= 10, String(seconds))
    endTasks(panel)
  }
  // While a run waits, another one is as good as asked for.
  longAgo(panel)
  await panel.ask({ ...ways[0]!, from: freshAddress() })
  longAgo(panel)
  assert.equal((await panel.ask({ ...ways[0]!, from: freshAddress() })).status, 204)
  assert.equal(cronTasks(panel).length, ways.length + 1)
  const audit = panel.sql("SELECT via, user_name FROM bg_audit WHERE act = 'cron-asked'")
  assert.deepEqual(audit.map(({ via, user_name }) => [via, user_name]).slice(0, 1), [['cron-address', null]])
})

test('fifty who ask in the same moment make one run', async () => {
  const key = (await renewCronKey(toolsOf(panel), who)).text!
  longAgo(panel)
  const answers = await Promise.all(Array.from({ length: 50 }, () => panel.ask({ url: `/cron/${key}`, from: freshAddress() })))
  assert.deepEqual(answers.map(({ status }) => status).sort(), [204, ...Array(49).fill(429)])
  assert.equal(cronTasks(panel).length, 1)
})

test('everything else is refused in the same words, and does nothing', async () => {
  const before = await panel.ask({ url: '/cron/', from: freshAddress() })
  assert.equal(before.status, 403, 'as long as there is no key')
  const old = (await renewCronKey(toolsOf(panel), who)).text!
  const key = (await renewCronKey(toolsOf(panel), who)).text!
  longAgo(panel)
  const wrong: Asked[] = [
    ...[
      old,
      '',
      'x',
      `${key}x`,
      key.slice(1),
      `${key}/`,
      `${key}/x`,
      `${key.slice(0, -1)}%`,
      `%00${key}`,
      'a'.repeat(300),
      '..%2f..',
      '__proto__',
    ].map(text => ({ url: `/cron/${text}` })),
    { url: '/cron' },
    { url: '/cron', headers: { 'x-cron-key': old } },
    { url: `/cron?key=${key}` },
    { url: `/cron?cron_key=${key}` },
    { url: '/cron', headers: { authorization: `Basic ${Buffer.from(key).toString('base64')}` } },
    { url: '/cron', method: 'POST', body: `key=${key}`, headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    // The key in the address goes before the one in the header.
    { url: `/cron/${old}`, headers: { 'x-cron-key': key } },
    // Fetched ahead: nobody has asked for it yet.
    { url: `/cron/${key}`, headers: { 'sec-purpose': 'prefetch;prerender' } },
    { url: `/cron/${key}`, headers: { purpose: 'prefetch' } },
    { url: `/cron/${key}`, headers: { 'x-moz': 'prefetch' } },
  ]
  for (const asked of wrong) {
    const answer = await panel.ask({ ...asked, from: freshAddress() })
    assert.deepEqual([answer.status, answer.body], [403, `${cronRefusal}\n`], JSON.stringify(asked))
    assert.equal(answer.headers['referrer-policy'], 'no-referrer')
  }
  for (const method of ['HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await panel.ask({ url: `/cron/${key}`, method, from: freshAddress() })
    assert.equal(answer.status, 405, method)
    assert.ok(!answer.body.includes(key), `${method}: the key stands in the answer`)
  }
  assert.equal(cronTasks(panel).length, 0)
})

test('the key stands in no log, no audit row and no answer; the database has only its hash, and the file is ours alone', async t => {
  const served = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_LOG_LEVEL: 'trace' })
  const config = await loadConfig({ BGTASK_RUNTIME: served.runtime })
  const background = await openBackground(config)
  t.after(() => background.close())
  const key = (await renewCronKey(toolsOf({ background, config }), who)).text!
  const database = new DatabaseSync(join(served.runtime, 'bgtask.sqlite'), { timeout: 5_000 })
  t.after(() => database.close())
  const answers: string[] = []
  const ask = async (path: string, method = 'GET') => {
    const answer = await fetch(served.address + path, { method, headers: { referer: `${served.address}/cron/${key}` } })
    answers.push(`${answer.status} ${await answer.text()} ${JSON.stringify([...answer.headers])}`)
    return answer.status
  }
  assert.equal(await ask(`/cron/${key}`), 204)
  assert.equal(await ask(`/cron/${key}`), 429)
  assert.equal(await ask(`/cron/${key}x`), 403)
  assert.equal(await ask(`/cron/${key}`, 'PUT'), 405)
  assert.equal(await ask('/admin/nowhere'), 404)
  // Something breaks while it is asked for.
  database.exec('ALTER TABLE bg_cron RENAME TO bg_cron_gone')
  assert.equal(await ask(`/cron/${key}`), 500)
  database.exec('ALTER TABLE bg_cron_gone RENAME TO bg_cron')
  await until('the fault is in the log', () => served.output().includes('could not be asked for by its address'))
  const rows = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'bg_%'")
    .all()
    .map(({ name }) => database.prepare(`SELECT * FROM ${String(name)}`).all())
  assert.ok(JSON.stringify(rows).includes('cron-key-refused'))
  for (const [where, text] of Object.entries({ log: served.output(), database: JSON.stringify(rows), answers: answers.join() })) {
    assert.ok(!text.includes(key), `it stands in the ${where}: ${text.slice(Math.max(0, text.indexOf(key) - 200), text.indexOf(key) + 60)}`)
  }
  assert.equal(statSync(runtimePaths(served.runtime).cronKey).mode & 0o777, 0o600)
})

test('too many wrong tries from one address are slowed, and keep nobody at that address from running cron', async () => {
  const { text: key } = await renewCronKey(toolsOf(panel), who)
  const from = freshAddress()
  const guess = async (url = `/cron/${randomBytes(32).toString('base64url')}`) => {
    const { status, headers } = await panel.ask({ url, from })
    return status === 429 ? [status, Number(headers['retry-after']) > 0] : status
  }
  const statuses: unknown[] = []
  for (let n = 0; n < 8; n++) statuses.push(await guess())
  assert.deepEqual(statuses, [403, 403, 403, 403, 403, 403, [429, true], [429, true]])
  assert.deepEqual(await guess('/cron'), [429, true])
  const refused = () => panel.sql("SELECT COUNT(*) AS n FROM bg_audit WHERE act = 'cron-key-refused'")[0]!.n
  const before = refused()
  longAgo(panel)
  for (let n = 0; n < 3; n++) await guess()
  // Who guesses and who has the key may come by the same proxy, or router.
  assert.equal(await guess(`/cron/${key}`), 204)
  assert.equal(cronTasks(panel).length, 1)
  assert.deepEqual(await guess(), [429, true])
  assert.equal(refused(), before, 'what is slowed fills no audit')
  // The key of a moment ago is a guess like any other, and at once.
  await renewCronKey(toolsOf(panel), who)
  longAgo(panel)
  assert.equal(await guess(`/cron/${key}`), 403)
  assert.deepEqual(await guess(`/cron/${key}`), [429, true])
})

test('an administrator who has just given the password sees the key and makes a new one; a key of another host is told as such', async () => {
  const admin = await panel.signIn('admin')
  const page = '/admin/reports/status/cron-key'
  assert.match((await panel.ask({ url: page, as: admin })).body, /There is no key yet/)
  assert.equal((await panel.ask({ url: page, method: 'POST', body: {}, as: admin })).status, 303)
  const { text } = (await readCronKey(toolsOf(panel)))!
  const shown = await panel.ask({ url: page, as: admin })
  assert.ok(shown.body.includes(`/cron/${text}`))
  for (const name of ['viewer', 'operator']) {
    const other = await panel.ask({ url: page, as: await panel.signIn(name) })
    assert.equal(other.status, 403)
    assert.ok(!other.body.includes(text!))
  }
  await panel.ask({ url: page, method: 'POST', body: {}, as: admin })
  assert.notEqual((await readCronKey(toolsOf(panel)))!.text, text)
  panel.sql("UPDATE bg_cron SET key_hash = 'made elsewhere'")
  assert.match((await panel.ask({ url: page, as: admin })).body, /The key was made on another host/)
})

test('after a web request: off by default; when it is set and due, one run, asked for after the answer', async t => {
  const visit = () => panel.ask({ url: '/admin/login' })
  await visit()
  const admin = await panel.signIn('admin')
  const set = (everyMs: string) =>
    panel.ask({ url: '/admin/config/system/cron/settings', method: 'POST', body: { every_ms: everyMs }, as: admin })
  assert.equal((await set('3600001')).status, 422)
  assert.equal((await set('3600000')).status, 303)
  longAgo(panel)
  // Another panel process, which has not looked yet.
  const { runCronAfterRequests } = await import('../../app/web/cron-after-request.ts')
  const { default: fastify } = await import('fastify')
  const other = fastify()
  runCronAfterRequests(other, { background: panel.background, live: { poke: () => {} } } as never, { everyMs: 0 })
  other.get('/page', async () => 'a page')
  other.get('/healthz', async () => 'well')
  t.after(() => other.close())
  await other.inject({ url: '/healthz' })
  await other.inject({ url: '/nowhere' })
  await Promise.all(Array.from({ length: 20 }, () => other.inject({ url: '/page' })))
  await until('cron is asked for', () => cronTasks(panel).length > 0)
  endTasks(panel)
  for (let n = 0; n < 20; n++) await other.inject({ url: '/page' })
  assert.equal(cronTasks(panel).length, 1, 'an hour has not passed')
  assert.equal(cronTasks(panel)[0]!.creator, 'after a request')
  assert.equal((await set('0')).status, 303)
  longAgo(panel)
  await other.inject({ url: '/page' })
  await other.close()
  assert.equal(cronTasks(panel).length, 1, 'it is off again')
})
