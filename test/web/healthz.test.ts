import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSupervisor, writeSupervisor } from '../../app/runs/supervisor-file.ts'
import { migrations } from '../../app/store/migrate.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { mariadbMissing } from '../helpers/tools.ts'

const probes = ['/healthz', '/healthz/live', '/healthz/ready'] as const

test('GET and HEAD answer the same, without a session and a word more than is needed', async t => {
  const panel = await openPanel(t)
  for (const url of probes) {
    const got = await panel.ask({ url })
    assert.equal(got.status, 200, url)
    assert.equal(got.headers['set-cookie'], undefined, url)
    const head = await panel.ask({ method: 'HEAD', url })
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', String(got.body.length)], url)
  }
  assert.deepEqual(JSON.parse((await panel.ask({ url: '/healthz' })).body), { ok: true, database: 'ok', loop: 'down' })
  assert.deepEqual(JSON.parse((await panel.ask({ url: '/healthz/live' })).body), { ok: true })
  assert.deepEqual(JSON.parse((await panel.ask({ url: '/healthz/ready' })).body), { ok: true, database: 'ok', loop: 'down' })
})

test('who asks for the loop is told when there is none, and when it gives no sign of life', async t => {
  const panel = await openPanel(t)
  const asked = async () => {
    const { status, body } = await panel.ask({ url: '/healthz/ready?loop' })
    return [status, (JSON.parse(body) as { loop: string }).loop]
  }
  assert.deepEqual(await asked(), [503, 'down'])
  panel.standIn()
  assert.deepEqual(await asked(), [200, 'running'])
  writeSupervisor(panel.runtime, { ...readSupervisor(panel.runtime)!, tickAt: Date.now() - 10_000 })
  assert.deepEqual(await asked(), [503, 'silent'])
  assert.equal((await panel.ask({ url: '/healthz/ready' })).status, 200, 'the panel itself can be used')
  panel.standDown()
  assert.deepEqual(await asked(), [503, 'down'])
})

test('tables of another version are not ready: older, half made, newer', async t => {
  const panel = await openPanel(t)
  const asked = async () => {
    const { status, body } = await panel.ask({ url: '/healthz/ready' })
    return [status, (JSON.parse(body) as { database: string }).database]
  }
  const last = migrations.at(-1)!.name
  assert.deepEqual(await asked(), [200, 'ok'])
  panel.sql('UPDATE bg_migration SET applied_at = NULL WHERE name = ?', last)
  assert.deepEqual(await asked(), [503, 'not migrated'])
  panel.sql('DELETE FROM bg_migration WHERE name = ?', last)
  assert.deepEqual(await asked(), [503, 'not migrated'])
  panel.sql('INSERT INTO bg_migration (name, started_at, applied_at) VALUES (?, 1, 1)', last)
  panel.sql("INSERT INTO bg_migration (name, started_at, applied_at) VALUES ('9999-of-tomorrow', 1, 1)")
  assert.deepEqual(await asked(), [503, 'not migrated'])
  assert.equal((await panel.ask({ url: '/healthz/live' })).status, 200)
})

test('a database that is away: alive, not ready, and ready again when it is back', {
  skip: mariadbMissing(),
  timeout: 120_000,
}, async t => {
  const server = await startMariaDb()
  t.after(() => server.stop())
  const panel = await openPanel(t, { env: { DATABASE_URL: server.url } })
  const statuses = () => Promise.all(probes.map(async url => (await panel.ask({ url })).status))
  assert.deepEqual(await statuses(), [200, 200, 200])
  await server.kill()
  assert.deepEqual(await statuses(), [503, 200, 503])
  await server.restart()
  assert.deepEqual(await statuses(), [200, 200, 200])
})

test('the probes of Kubernetes in the README are answered, also where the panel listens everywhere', async t => {
  const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')
  const found = [...readme.matchAll(/httpGet: \{ path: (\S+), port: 8080, httpHeaders: \[\{ name: Host, value: "([^"]+)" \}\] \}/g)]
  assert.deepEqual(
    found.map(([, path]) => path),
    ['/healthz/live', '/healthz/ready'],
  )
  const panel = await openPanel(t, { env: { HOST: '0.0.0.0', BGTASK_INSECURE_LISTEN: 'on' } })
  for (const [, url, host] of found) {
    const asked = { url: url!, headers: { host: host!.replace('8080', String(panel.port)) } }
    assert.equal((await panel.ask(asked)).status, 200, url)
    assert.equal((await panel.ask({ ...asked, headers: { host: `10.0.0.7:${panel.port}` } })).status, 421, 'without that name')
  }
})
