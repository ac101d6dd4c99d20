import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, request } from 'node:http'
import { after, afterEach, before, describe, test } from 'node:test'
import { panelProcesses } from '../../app/runs/panel-file.ts'
import { isAlive } from '../../app/runs/process-identity.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { listAudit } from '../../app/store/audit.ts'
import { openDatabase } from '../../app/store/database.ts'
import { cookiesOf, type ServedPanel } from '../helpers/browser.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { ask, makeCheckout, type OwnCheckout, putUnderLightLoad } from './own-checkout.ts'

const soon = 60_000

describe('a reload comes to harm, and nobody who asks the panel meanwhile is refused or answered wrongly', { timeout: 240_000 }, () => {
  const cleanUp: (() => unknown)[] = []
  let checkout: OwnCheckout
  let load: ReturnType<typeof putUnderLightLoad>
  before(async () => {
    checkout = await makeCheckout({ after: work => cleanUp.push(work) })
    checkout.write('app/actions/test/plain.ts', "export const execute = () => 'done'\n")
    const started = await checkout.run('panel', 'start')
    assert.equal(started.code, 0, started.said)
    load = putUnderLightLoad(checkout)
  })
  afterEach(() => checkout.inject(null))
  after(async () => {
    await load?.end()
    for (const work of cleanUp) await work()
  })
  const which = async () =>
    (JSON.parse((await ask({ host: '127.0.0.1', port: checkout.port, path: '/which' })).text) as { version: string }).version
  const untilNew = (before: number) =>
    until(
      'a new panel answers alone',
      () => checkout.panel().pid !== before && checkout.panel().pid,
      soon,
      () => checkout.log(),
    )
  /** The log since then. */
  const from = () => {
    const { length } = checkout.log()
    return () => checkout.log().slice(length)
  }
  const untilRefused = (said: () => string) =>
    until(
      'it is told',
      () => said().includes('It goes on as it was'),
      soon,
      () => checkout.log(),
    )

  test('a syntax error in bgtask.config.ts: the sentence names file and line, by command and by signal', async () => {
    const before = checkout.panel().pid
    checkout.write('bgtask.config.ts', `export default {\n  PORT: ${checkout.port},\n  HOST: '127.0.0.1'\n  BGTASK_MAX_RUNNING: 3,\n}\n`)
    const wrong = /bgtask\.config\.ts, line 4, cannot be used: Expected ','/
    const { code, said } = await checkout.run('panel', 'reload')
    assert.equal(code, 78, said)
    assert.match(said, wrong)
    const told = from()
    checkout.hup()
    await untilRefused(told)
    assert.match(told(), wrong)
    assert.match(told(), /The panel did not reload: the new panel ended with exit code 78\. It goes on/)
    assert.equal(checkout.panel().pid, before)
    checkout.configure()
    assert.deepEqual(await load.faults(), [])
  })

  test('the new panel is killed before and after it took the sockets, and asked to end in between: the old one goes on', async () => {
    const before = checkout.panel().pid
    for (const fault of [
      { at: 'ready', whom: 'new', signal: 'SIGKILL' },
      { at: 'ready', whom: 'new', signal: 'SIGTERM' },
      { at: 'listening', whom: 'new', signal: 'SIGKILL' },
    ] as const) {
      checkout.inject(fault)
      const told = from()
      checkout.hup()
      await untilRefused(told)
      assert.equal(checkout.panel().pid, before, JSON.stringify(fault))
      assert.equal(panelProcesses(checkout.runtime).length, 1)
      assert.deepEqual(await load.faults(), [], JSON.stringify(fault))
    }
    checkout.inject(null)
  })

  test('nothing can be written in the runtime folder: the new one gives back what it took, the old one goes on', async () => {
    const before = checkout.panel().pid
    const { panel } = runtimePaths(checkout.runtime)
    renameSync(panel, `${panel}.away`)
    mkdirSync(`${panel}/in the way`, { recursive: true })
    const told = from()
    checkout.hup(before)
    await untilRefused(told)
    assert.match(told(), /Nobody who waits for this reload can be told of it/)
    rmSync(panel, { recursive: true })
    renameSync(`${panel}.away`, panel)
    assert.equal(checkout.panel().pid, before)
    assert.deepEqual(await load.faults(), [])
  })

  test('a broken action file and another PORT: it reloads, stays where it is, and says so', async () => {
    const before = checkout.panel().pid
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    cleanUp.push(() => other.close())
    const { port } = other.address() as { port: number }
    checkout.configure({ PORT: port })
    checkout.write('app/actions/test/broken.ts', 'export const execute = () => {\n  return (\n}\n')
    const told = from()
    const { code, said } = await checkout.run('panel', 'reload')
    assert.equal(code, 0, said)
    await untilNew(before)
    assert.equal(checkout.panel().port, checkout.port)
    assert.match(told(), new RegExp(`PORT is ${port} now, which takes a restart: a reload stays on ${checkout.port}\\.`))
    await until('the broken file is told', () => /The action test\/broken .*\(line 3\)/.test(told()), soon, told)
    const added = await checkout.run('add', 'test/plain')
    assert.equal(added.code, 0, added.said)
    checkout.configure()
    rmSync(`${checkout.root}/app/actions/test/broken.ts`)
    assert.deepEqual(await load.faults(), [])
  })

  test('two signals at once, and one during a reload: what was saved last is what answers', async () => {
    const before = checkout.panel().pid
    checkout.inject({ at: 'ready', whom: 'hold' })
    checkout.writeVersion('two')
    const told = from()
    checkout.hup()
    checkout.hup()
    await until(
      'the new one is ready',
      () => told().includes('bgtask is at'),
      soon,
      () => checkout.log(),
    )
    checkout.writeVersion('three')
    checkout.hup(before)
    checkout.inject(null)
    await until(
      'the last version answers',
      async () => (await which()) === 'three',
      soon,
      () => checkout.log(),
    )
    assert.deepEqual(await load.faults(), [])
  })

  test('a stream ends and begins anew; an upload, a wait and a wish to reload that came to the leaving one are fulfilled', async () => {
    const first = checkout.panel()
    const address = `http://127.0.0.1:${checkout.port}`
    const cookie = await cookiesOf({ address } as ServedPanel)
    const openStream = async () => {
      const headers = { cookie, accept: 'text/event-stream', 'sec-fetch-site': 'same-origin' }
      const { status, body } = await fetch(`${address}/admin/live?page=/admin`, { headers })
      assert.equal(status, 200)
      const reader = body!.getReader()
      assert.match(new TextDecoder().decode((await reader.read()).value), /retry: 1000/)
      return reader
    }
    const untilEnd = async (reader: ReadableStreamDefaultReader<Uint8Array>) => {
      while (!(await reader.read()).done);
    }
    const stream = await openStream()
    const gate = `${checkout.root}/gate`
    checkout.write(
      'app/actions/test/gate.ts',
      `const { existsSync } = process.getBuiltinModule('node:fs')
export const execute = async ({ params }: { params: { gate: string } }) => {
  while (!existsSync(params.gate)) await new Promise(resolve => setTimeout(resolve, 20))
}
`,
    )
    const { id } = JSON.parse((await checkout.run('add', 'test/gate', JSON.stringify({ gate }), '--json')).said) as { id: number }
    const waiting = ask({ socketPath: checkout.socket, path: `/api/v1/tasks/${id}/wait?timeoutMs=50000` })
    const made = await checkout.run('token', 'create', 'uploads', '--scope', 'task:add:test/*', '--json')
    const { token } = JSON.parse(made.said) as { token: string }
    const upload = request({
      host: '127.0.0.1',
      port: checkout.port,
      path: '/api/v1/tasks',
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
    })
    const line = '{"action": "test/plain"}\n'
    upload.write(line)
    const [answer] = (await once(upload, 'response')) as [IncomingMessage]
    let said = ''
    answer.on('data', piece => (said += String(piece)))
    const lines = () => said.split('\n').filter(Boolean)
    await until('the first line is answered', () => lines().length === 1, soon)

    checkout.hup()
    const second = await untilNew(first.pid)
    await untilEnd(stream)
    // The old one may have accepted a connection the moment before it left.
    await until(
      'a stream goes on',
      () =>
        openStream().then(
          opened => opened.cancel().then(() => true),
          () => false,
        ),
      soon,
    )
    checkout.writeVersion('by the one that leaves')
    assert.equal(isAlive(first), true)
    checkout.hup(first.pid)
    await untilNew(second)
    await until(
      'the passed on wish is fulfilled',
      async () => (await which()) === 'by the one that leaves',
      soon,
      () => checkout.log(),
    )

    upload.write(line)
    await until('the second line is answered', () => lines().length === 2, soon)
    upload.end(line)
    await once(answer, 'end')
    assert.equal(answer.complete, true)
    const told = lines().map(text => JSON.parse(text) as { added?: boolean })
    assert.deepEqual(
      told.slice(0, -1).map(({ added }) => added),
      [true, true, true],
      said,
    )
    assert.match(lines().at(-1)!, /"end"/)
    checkout.write('gate', '')
    const { status, text } = await waiting
    assert.deepEqual([status, (JSON.parse(text) as { ended: boolean }).ended], [200, true])
    assert.deepEqual(await load.faults(), [])
  })

  test('kill -9 of the old one the moment before it would be told: the new one goes on alone', async () => {
    const before = checkout.panel().pid
    await load.end()
    checkout.inject({ at: 'listening', whom: 'old', signal: 'SIGKILL' })
    checkout.hup()
    const after = await untilNew(before)
    checkout.inject(null)
    await until('the old one is gone', () => !panelProcesses(checkout.runtime).some(({ pid }) => pid === before), soon)
    load = putUnderLightLoad(checkout)
    assert.deepEqual(await load.faults(), [])
    assert.equal(checkout.panel().pid, after)
    const { code, said } = await checkout.run('panel', 'reload')
    assert.equal(code, 0, said)
    assert.deepEqual(await load.faults(), [])
  })

  test('SIGTERM to the old one in the middle: both end, nothing is left, and the next start is a whole one', async () => {
    await load.end()
    const before = checkout.panel()
    // The new one has taken the sockets, and cannot tell any more.
    checkout.inject({ at: 'listening', whom: 'old', signal: 'SIGTERM' })
    const told = from()
    checkout.hup()
    await until(
      'both have ended',
      () => !isAlive(before) && panelProcesses(checkout.runtime).length === 0,
      soon,
      () => checkout.log(),
    )
    checkout.inject(null)
    await until(
      'nobody listens',
      () =>
        ask({ host: '127.0.0.1', port: checkout.port, path: '/which' }).then(
          () => false,
          () => true,
        ),
      soon,
      told,
    )
    await until(
      'the file of the socket is gone',
      () =>
        ask({ socketPath: checkout.socket, path: '/healthz' }).then(
          () => false,
          (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
        ),
      soon,
      told,
    )
    const started = await checkout.run('panel', 'start')
    assert.match(started.said, /bgtask is at/)
    load = putUnderLightLoad(checkout)
    assert.deepEqual(await load.faults(), [])
  })
})

test('on MariaDB a panel reloads; while the database is away the old one goes on, and says so', {
  skip: mariadbMissing(),
  timeout: 240_000,
}, async t => {
  const server = await startMariaDb()
  t.after(() => server.stop())
  const checkout = await makeCheckout(t, { DATABASE_URL: server.url })
  const started = await checkout.run('panel', 'start')
  assert.equal(started.code, 0, started.said)
  const load = putUnderLightLoad(checkout, ['fresh', 'kept'])
  t.after(() => load.end())
  const first = checkout.panel().pid
  checkout.writeVersion('two')
  const reload = await checkout.run('panel', 'reload')
  assert.equal(reload.code, 0, reload.said)
  const second = checkout.panel().pid
  assert.notEqual(second, first)
  await server.kill()
  const { length } = checkout.log()
  checkout.hup()
  await until(
    'it is told',
    () => checkout.log().slice(length).includes('It goes on as it was'),
    soon,
    () => checkout.log(),
  )
  assert.match(checkout.log().slice(length), /^The database .* cannot be reached/m)
  for (const what of ['reload', 'stop']) {
    const away = await checkout.run('panel', what)
    assert.equal(away.code, 78, away.said)
    assert.match(away.said, /^The database .* cannot be reached/)
    if (what === 'stop') assert.match(away.said, new RegExp(`kill ${second} ends the panel in order`))
  }
  assert.equal(checkout.panel().pid, second)
  await server.restart()
  const again = await checkout.run('panel', 'reload')
  assert.equal(again.code, 0, again.said)
  assert.notEqual(checkout.panel().pid, second)
  assert.deepEqual(await load.faults(), [])
  const db = await openDatabase(server.url)
  t.after(() => db.close())
  const acts = (await listAudit(db, { limit: 100 })).map(({ act }) => act).filter(act => act.startsWith('panel-'))
  assert.deepEqual(acts.reverse(), ['panel-started', 'panel-reloaded', 'panel-reloaded'])
})
