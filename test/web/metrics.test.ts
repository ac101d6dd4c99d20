import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { askCron } from '../../app/api/ask-cron.ts'
import { checkInstallation } from '../../app/api/check.ts'
import { makeToken, revokeToken } from '../../app/api/tokens.ts'
import { EXEC_TYPE_FOREVER } from '../../app/task/task.ts'
import { metrics, requestTimes } from '../../app/web/metrics/list.ts'
import { buildServer } from '../../app/web/server.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { type ParsedMetric, parseMetrics } from '../helpers/parse-metrics.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { dialects } from '../store/dialects.ts'

const open = { BGTASK_METRICS: 'open' }

/** A panel over the scene. @returns what it tells, anew each time */
const scraped = async (t: TestContext, scene: Scene) => {
  const app = await buildServer(scene.config, { background: scene.background })
  t.after(() => app.close())
  return { app, scrape: () => scrapeOf(app, scene) }
}

const hostOf = ({ config }: Pick<Scene, 'config'>) => `127.0.0.1:${config.port}`

const scrapeOf = async (app: FastifyInstance, scene: Scene, headers: Record<string, string> = {}) => {
  const answer = await app.inject({ url: '/metrics', headers: { host: hostOf(scene), ...headers } })
  assert.equal(answer.statusCode, 200, answer.body)
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  return parseMetrics(answer.body)
}

type Told = Map<string, ParsedMetric>
/** The value of the one sample with these labels. */
const value = (told: Told, name: string, labels: Record<string, string> = {}): number | undefined => {
  const found =
    told.get(name)?.samples.filter(sample => Object.entries(labels).every(([label, text]) => sample.labels[label] === text)) ?? []
  assert.ok(found.length <= 1, `${name} ${JSON.stringify(labels)}: ${JSON.stringify(found)}`)
  return found[0]?.value
}
const stateOf = (told: Told, id: number): string | undefined =>
  told.get('bgtask_loop_state')?.samples.find(sample => sample.labels.task === String(id) && sample.value === 1)?.labels.state

const modulesThat = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-metrics-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'modules'))
  writeFileSync(join(folder, 'modules', 'plain.ts'), 'export const cron = async () => undefined\n')
  return join(folder, 'modules')
}

for (const dialect of dialects) {
  describe(`what is measured on ${dialect.name}`, { skip: dialect.skip }, () => {
    test('loops that run, crash and trip, tasks, residents, cron: each is told as it is', { timeout: 120_000 }, async t => {
      const scene = await makeScene(t, { databaseUrl: await dialect.newUrl(), env: { ...open, BGTASK_MODULES: modulesThat(t) } })
      const { background } = scene
      const { app, scrape } = await scraped(t, scene)
      const before = await scrape()
      assert.equal(value(before, 'bgtask_supervisor_up'), 0)
      assert.equal(before.has('bgtask_supervisor_tick_age_seconds'), false, 'what is not known is not told')
      assert.equal(value(before, 'bgtask_oldest_due_task_age_seconds'), 0)

      const forever = async (action: string, params = {}) => (await background.addTask(action, params, EXEC_TYPE_FOREVER)).id
      const well = await forever('test/forever', { intervalMs: 50 })
      const long = await forever('test/forever', { intervalMs: 3_600_000 })
      const crashing = await forever('test/crashes-at-once')
      const misconfigured = await forever('test/exits-78')
      const ids = [await background.addTask('test/ok'), await background.addTask('test/fails')].map(({ id }) => id)
      await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
      const due = await until('what is due is seen to be', async () => {
        const told = await scrape()
        return (value(told, 'bgtask_oldest_due_task_age_seconds') ?? 0) > 0 && told
      })
      assert.equal(value(due, 'bgtask_tasks', { state: 'waiting' }), 3)

      const supervising = await scene.supervise()
      for (const id of ids) await scene.untilState(id, ['succeeded', 'failed'])
      await scene.untilState(misconfigured, 'tripped')
      await scene.untilState(well, 'running')
      const held = await background.addTask('test/resident/one', { do: 'wait for the signal' })
      const cron = await askCron(background, { creator: 'the test' })
      await scene.untilState(cron.task.id, 'succeeded', 60_000)
      await scene.untilState(held.id, 'running')

      const told = await until('all of it is told', async () => {
        const now = await scrape()
        const isAll =
          (value(now, 'bgtask_loop_iterations_total', { task: String(well) }) ?? 0) > 0 &&
          (value(now, 'bgtask_loop_last_iteration_timestamp_seconds', { task: String(long) }) ?? 0) > 0 &&
          (value(now, 'bgtask_loop_starts_total', { task: String(crashing) }) ?? 0) > 1 &&
          stateOf(now, crashing) === 'backing-off' &&
          value(now, 'bgtask_resident_tasks_held', { action: 'test/resident/one' }) === 1
        return isAll && now
      })

      assert.equal(value(told, 'bgtask_tasks_ended_total', { state: 'succeeded' }), 2)
      assert.equal(value(told, 'bgtask_tasks_ended_total', { state: 'failed' }), 1)
      assert.equal(value(told, 'bgtask_tasks', { state: 'running' }), 1, 'loops are not among them')
      assert.equal(value(told, 'bgtask_tasks', { state: 'waiting' }), 1)
      assert.equal(value(told, 'bgtask_oldest_due_task_age_seconds'), 0, 'what is due later is not late')
      assert.ok(value(told, 'bgtask_loops', { state: 'running' })! >= 2)
      assert.equal(value(told, 'bgtask_loops', { state: 'tripped' }), 1)

      const labels = { task: String(well), action: 'test/forever' }
      assert.equal(value(told, 'bgtask_loop_up', labels), 1)
      assert.equal(stateOf(told, well), 'running')
      assert.equal(value(told, 'bgtask_loop_starts_total', labels), 1)
      assert.ok(value(told, 'bgtask_loop_memory_bytes', labels)! > 10_000_000)
      assert.ok(value(told, 'bgtask_loop_cpu_seconds_total', labels)! >= 0)
      assert.ok(value(told, 'bgtask_loop_start_time_seconds', labels)! * 1000 <= Date.now())
      assert.ok(value(told, 'bgtask_loop_last_iteration_duration_seconds', labels)! < 60)
      assert.equal(value(told, 'bgtask_loop_iteration_errors_total', labels), 0)
      assert.equal(value(told, 'bgtask_loop_current_iteration_age_seconds', { task: String(long) }), 0, 'it sleeps')
      assert.equal(value(told, 'bgtask_loop_up', { task: String(misconfigured) }), 0)
      assert.equal(stateOf(told, misconfigured), 'tripped')
      assert.ok(value(told, 'bgtask_loop_next_start_timestamp_seconds', { task: String(misconfigured) })! * 1000 > Date.now())
      assert.equal(value(told, 'bgtask_loop_memory_bytes', { task: String(misconfigured) }), undefined, 'it has no process')

      assert.equal(value(told, 'bgtask_supervisor_up'), 1)
      assert.equal(value(told, 'bgtask_supervisor_info', { epoch: supervising.info.epoch }), 1)
      assert.ok(value(told, 'bgtask_supervisor_runs', { exec_type: 'forever' })! >= 2)
      assert.equal(value(told, 'bgtask_residents', { action: 'test/resident/one' }), 1)
      assert.equal(value(told, 'bgtask_residents_blocked', { action: 'test/resident/one' }), 0)
      assert.ok(value(told, 'bgtask_cron_part_last_success_timestamp_seconds', { kind: 'hook', name: 'plain' })! * 1000 <= Date.now())
      assert.ok(value(told, 'bgtask_host_beat_age_seconds')! < 60)

      const known = [...metrics.map(({ name }) => name), requestTimes.name]
      const expected = known.filter(name => dialect.name === 'SQLite' || name !== 'bgtask_database_size_bytes')
      assert.deepEqual([...told.keys()].filter(name => name.startsWith('bgtask_')).sort(), expected.sort(), 'all of the list is told')
      for (const { name, type, labels = [] } of metrics) {
        assert.equal(told.get(name)?.type ?? type, type, name)
        for (const sample of told.get(name)?.samples ?? []) assert.deepEqual(Object.keys(sample.labels).sort(), [...labels].sort(), name)
      }
      for (const [name] of told) assert.match(name, /^(?:bgtask|process|nodejs)_/)

      await background.cancelTask(well)
      await scene.untilState(well, 'stopped')
      const after = await until('it is gone', async () => {
        const now = await scrape()
        return value(now, 'bgtask_loop_up', labels) === undefined && now
      })
      assert.equal(value(after, 'bgtask_loops', { state: 'stopped' }), 1)

      await supervising.kill()
      const orphaned = await until('the supervisor is gone', async () => {
        const now = await scrape()
        return value(now, 'bgtask_supervisor_up') === 0 && now
      })
      assert.ok(value(orphaned, 'bgtask_loop_memory_bytes', { task: String(long) })! > 0, 'the loop lives on, and is measured')
      assert.equal(orphaned.get('process_cpu_seconds_total')?.type, 'counter')
      assert.equal((await app.inject({ url: '/metrics', headers: { host: 'evil.example' } })).statusCode, 421)
    })
  })
}

test('a database that is away: what the files tell is told, to whom it was told before', {
  skip: mariadbMissing(),
  timeout: 120_000,
}, async t => {
  const server = await startMariaDb()
  t.after(() => server.stop())
  const scene = await makeScene(t, { databaseUrl: await server.newDatabase() })
  const app = await buildServer(scene.config, { background: scene.background })
  t.after(() => app.close())
  const { db } = scene.background
  const token = async (scopes: string[]) => makeToken(db, { name: 'the test', ip: null, via: 'command-line' }, { name: 'scraper', scopes })
  const ask = (text: string, url = '/metrics') => app.inject({ url, headers: { host: hostOf(scene), authorization: `Bearer ${text}` } })
  const [scraper, revoked, other, late] = [
    await token(['metrics:read', 'task:read']),
    await token(['metrics:read']),
    await token(['task:read']),
    await token(['metrics:read']),
  ]
  const loop = await scene.background.addTask('test/forever', {}, EXEC_TYPE_FOREVER)
  await scene.background.addTask('test/forever', { intervalMs: 3_600_000 })
  await scene.supervise()
  await scene.untilState(loop.id, 'running')
  for (const { text } of [scraper, revoked]) assert.equal((await ask(text)).statusCode, 200)
  await revokeToken(db, { name: 'the test', ip: null, via: 'command-line' }, revoked.token.id)
  assert.equal((await ask(revoked.text)).statusCode, 401)
  assert.equal((await ask(other.text)).statusCode, 403)

  await server.kill()
  const away = await until('it is seen to be away', async () => {
    const answer = await ask(scraper.text)
    assert.equal(answer.statusCode, 200, answer.body)
    const told = parseMetrics(answer.body)
    return value(told, 'bgtask_database_up') === 0 && value(told, 'bgtask_supervisor_database_up') === 0 && told
  })
  assert.equal(value(away, 'bgtask_loop_up', { task: String(loop.id), action: 'test/forever' }), 1)
  assert.ok(value(away, 'bgtask_loop_iterations_total', { task: String(loop.id) })! > 0)
  assert.deepEqual(away.get('bgtask_loop_up')!.samples.length, 1, 'a ONCE task is no loop')
  for (const name of ['bgtask_tasks', 'bgtask_loop_state', 'bgtask_oldest_due_task_age_seconds']) assert.equal(away.has(name), false, name)
  // Nobody else, and nothing else.
  for (const { text } of [revoked, other, late]) assert.equal((await ask(text)).statusCode, 503)
  assert.equal((await ask(scraper.text, '/api/v1/tasks')).statusCode, 503)
  assert.equal((await ask(`${scraper.text.slice(0, -1)}${scraper.text.endsWith('A') ? 'B' : 'A'}`)).statusCode, 503)

  await server.restart()
  await until('it is back', async () => value(parseMetrics((await ask(scraper.text)).body), 'bgtask_database_up') === 1)
  await revokeToken(db, { name: 'the test', ip: null, via: 'command-line' }, scraper.token.id)
  assert.equal((await ask(scraper.text)).statusCode, 401, 'what is remembered counts for nothing while the database answers')
})

test('a database that does not answer holds nobody up', { skip: mariadbMissing(), timeout: 120_000 }, async t => {
  const server = await startMariaDb()
  t.after(() => server.stop())
  const scene = await makeScene(t, { databaseUrl: await server.newDatabase(), env: open })
  const { scrape } = await scraped(t, scene)
  assert.equal(value(await scrape(), 'bgtask_database_up'), 1)
  await server.pause()
  t.after(() => server.resume())
  await until('it counts as away', async () => value(await scrape(), 'bgtask_database_up') === 0)
  server.resume()
  await until('it is back', async () => value(await scrape(), 'bgtask_database_up') === 1)
})

test('without a token: nobody, unless it is said so; then processes of this machine, and nobody behind a proxy', async t => {
  const closed = await openPanel(t)
  const refused = await closed.ask({ url: '/metrics' })
  assert.deepEqual([refused.status, refused.headers['www-authenticate']], [401, 'Bearer realm="bgtask"'])
  assert.match(refused.body, /^A token with the scope metrics:read is needed/)
  const browser = await closed.ask({ url: '/metrics', headers: { accept: 'text/html,*/*' } })
  assert.deepEqual([browser.status, browser.headers.location], [303, '/admin/login?next=%2Fadmin'])

  const panel = await openPanel(t, { env: { ...open, BGTASK_PUBLIC_URL: 'https://panel.example.com' } })
  const ask = (headers: Record<string, string> = {}, more: object = {}) =>
    panel.app.inject({ url: '/metrics', headers: { host: 'panel.example.com', ...headers }, ...more })
  assert.equal((await ask()).statusCode, 200)
  for (const name of ['x-forwarded-for', 'x-forwarded-proto', 'x-real-ip', 'forwarded', 'via', 'x-forwarded-host'])
    assert.equal((await ask({ [name]: name === 'x-forwarded-host' ? 'panel.example.com' : '127.0.0.1' })).statusCode, 401, name)
  for (const remoteAddress of ['192.0.2.7', '::ffff:192.0.2.7', '10.0.0.1'])
    assert.equal((await ask({}, { remoteAddress })).statusCode, 401, remoteAddress)
  for (const remoteAddress of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])
    assert.equal((await ask({}, { remoteAddress })).statusCode, 200, remoteAddress)
  assert.equal((await ask({ authorization: `Bearer bgt_1_${'A'.repeat(43)}` })).statusCode, 401, 'a bad token is not made good by it')
  for (const url of ['/admin', '/admin/core/bgtask', '/metrics/', '/metricsx'])
    assert.notEqual((await panel.app.inject({ url, headers: { host: 'panel.example.com' } })).statusCode, 200, url)

  const said = (await checkInstallation(panel.config)).filter(({ sentence }) => /BGTASK_METRICS is open/.test(String(sentence)))
  assert.deepEqual(
    said.map(({ level }) => level),
    ['warning'],
  )
  assert.equal((await checkInstallation(closed.config)).filter(({ sentence }) => /BGTASK_METRICS/.test(String(sentence))).length, 0)
})

test('many who ask at once, or again within a second, are told what was read once', async t => {
  const panel = await openPanel(t, { env: open })
  const first = await Promise.all(Array.from({ length: 50 }, () => panel.ask({ url: '/metrics' })))
  assert.deepEqual([...new Set(first.map(({ status }) => status))], [200])
  assert.equal(new Set(first.map(({ body }) => body)).size, 1)
  await until('it is read anew', async () => (await panel.ask({ url: '/metrics' })).body !== first[0]!.body)
})

test('whatever stands in the rows, no line is made of it; requests are counted by route, never by address', async t => {
  const panel = await openPanel(t, { env: open })
  const hostile = 'demo/a"} 1\nbgtask_database_up 0\n\\'
  const { id } = await panel.background.addTask('test/forever', {}, EXEC_TYPE_FOREVER)
  panel.sql('UPDATE bg_task SET action = ? WHERE id = ?', hostile, id)
  parseMetrics((await panel.ask({ url: '/metrics' })).body)
  const admin = await panel.signIn('admin')
  for (const url of [`/admin/core/bgtask/${id}`, '/admin/nowhere', '/%22%7D', '/admin/core/bgtask?text=secret-of-mine'])
    await panel.ask({ url, as: admin })
  const told = await until('it is read anew', async () => {
    const now = parseMetrics((await panel.ask({ url: '/metrics' })).body)
    return now.has(requestTimes.name) && now.get(requestTimes.name)!.samples.some(({ labels }) => labels.route === 'none') && now
  })
  assert.deepEqual(told.get('bgtask_loop_up')!.samples[0]!.labels, { task: String(id), action: hostile })
  const routes = new Set(told.get(requestTimes.name)!.samples.map(({ labels }) => labels.route))
  for (const route of routes) assert.ok(route === 'none' || panel.routes.some(({ url }) => url === route), route)
  assert.ok(routes.has('/admin/core/bgtask/:id'))
  assert.equal(
    told.get(requestTimes.name)!.samples.find(({ labels }) => labels.route === 'none' && labels.le === undefined)?.labels.method,
    'GET',
  )
})

test('prom-client is loaded when somebody asks, and not before', async t => {
  const { config } = await openPanel(t)
  const script = `
    import { loadConfig } from './app/config.ts'
    import { openBackground } from './app/api/background.ts'
    import { buildServer } from './app/web/server.ts'
    import { createRequire } from 'node:module'
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter(path => path.includes('prom-client')).length
    const config = await loadConfig()
    const background = await openBackground(config)
    const app = await buildServer(config, { background })
    const ask = url => app.inject({ url, headers: { host: '127.0.0.1:8080' } })
    const before = [(await ask('/healthz')).statusCode, loaded()]
    const after = [(await ask('/metrics')).statusCode, loaded() > 0]
    console.log(JSON.stringify([before, after]))
    await app.close()
    await background.close()
  `
  const { spawnSync } = await import('node:child_process')
  const env = { PATH: process.env.PATH, BGTASK_RUNTIME: config.runtime, BGTASK_METRICS: 'open' }
  const root = join(import.meta.dirname, '..', '..')
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, env, encoding: 'utf8' })
  assert.equal(stdout.trim(), '[[200,0],[200,true]]', stderr)
})
