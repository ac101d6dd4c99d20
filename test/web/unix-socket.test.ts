import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { checkInstallation } from '../../app/api/check.ts'
import { loadConfig } from '../../app/config.ts'
import { type LineAnswer, TaskClient } from '../../app/remote/task-client.ts'
import { listAudit } from '../../app/store/audit.ts'
import { buildServer } from '../../app/web/server.ts'
import { listenOnSocket } from '../../app/web/unix-socket.ts'
import { makeScene } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { dialects } from '../store/dialects.ts'
import { openServing } from './api/serving.ts'

const root = join(import.meta.dirname, '..', '..')

const folderOf = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-socket-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const ask = (socketPath: string, path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}) =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options
    const asking = request({ socketPath, path, method, agent: false, headers: { host: 'localhost', ...headers } }, answer => {
      let text = ''
      answer.on('data', piece => {
        text += String(piece)
      })
      answer.on('end', () => resolve({ status: answer.statusCode!, text }))
    })
    asking.on('error', reject)
    asking.end(body)
  })

const add = (socketPath: string, headers: Record<string, string> = {}) =>
  ask(socketPath, '/api/v1/tasks', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ action: 'test/ok' }),
  })

for (const dialect of dialects) {
  test(`whoever may open the socket does by the client what is about tasks, without a token, on ${dialect.name}`, {
    timeout: 60_000,
    skip: dialect.name === 'MariaDB' && mariadbMissing(),
  }, async t => {
    const socketPath = join(folderOf(t), 'bgtask.sock')
    const env = { BGTASK_SOCKET: socketPath, BGTASK_COMMANDS: join(root, 'commands.ts') }
    const scene = await makeScene(t, dialect.name === 'SQLite' ? { env } : { env, databaseUrl: await dialect.newUrl() })
    const app = await buildServer(scene.config, { background: scene.background })
    await app.ready()
    const listening = await listenOnSocket({ socket: socketPath, socketMode: scene.config.socketMode }, app.routing)
    t.after(async () => {
      listening.server.close()
      listening.server.closeAllConnections()
      listening.remove()
      await app.close()
    })
    const supervising = await scene.supervise()
    const client = new TaskClient({ socketPath })
    const { id, creator } = await client.sendTask('test/ok', {})
    assert.equal(creator, 'unix socket')
    assert.equal((await client.wait(id)).state, 'succeeded')
    const answers: LineAnswer[] = []
    for await (const answer of client.sendTasks([{ action: 'test/ok' }, { action: 'test/nothing' }, { action: 'test/ok' }]))
      answers.push(answer)
    assert.deepEqual(
      answers.map(answer => 'added' in answer && answer.added),
      [true, false, true],
    )
    const later = await client.sendTask('test/ok', {}, { delayMs: 3_600_000 })
    assert.equal((await client.cancel(later.id)).state, 'cancelled')
    const command = await client.sendCommand('deploy', { environment: 'staging', revision: 'a1b2c3d', dryRun: true })
    assert.equal((await client.wait(command.id)).state, 'succeeded')
    const once = { idempotencyKey: 'the-same' }
    const [first, second] = [await client.sendTask('test/ok', {}, {}, once), await client.sendTask('test/ok', {}, {}, once)]
    assert.equal(first.id, second.id)
    const rows = await listAudit(scene.background.db, { limit: 50 })
    const told = rows.filter(({ via }) => via === 'unix-socket').map(({ userName, ip, act }) => [userName, ip, act])
    assert.ok(told.length >= 4)
    assert.deepEqual(new Set(told.map(([name, ip]) => `${name} ${ip}`)), new Set(['unix socket null']))
    await supervising.stop()
  })
}

test('its permissions are the gate: nobody else may connect, unless the mode says so', { skip: process.getuid?.() !== 0 }, async t => {
  const folder = folderOf(t)
  chmodSync(folder, 0o755)
  const socketPath = join(folder, 'bgtask.sock')
  const serving = await openServing(t, { BGTASK_SOCKET: socketPath })
  const asNobody = () =>
    spawnSync(
      'setpriv',
      ['--reuid=65534', '--regid=65534', '--clear-groups', 'curl', '-sS', '--unix-socket', socketPath, 'http://localhost/healthz'],
      {
        encoding: 'utf8',
        timeout: 10_000,
      },
    )
  await serving.start()
  assert.equal(lstatSync(socketPath).mode & 0o777, 0o600)
  const refused = asNobody()
  assert.deepEqual([refused.status, refused.stdout], [7, ''], refused.stderr)
  assert.equal((await add(socketPath)).status, 201)
  assert.equal(await serving.stop(), 0)
  assert.equal(existsSync(socketPath), false, 'it is taken away at the end')
  await serving.start({ BGTASK_SOCKET_MODE: '0666' })
  assert.equal(lstatSync(socketPath).mode & 0o777, 0o666)
  assert.match(asNobody().stdout, /"ok":true/)
})

test('a proxy, a browser and another name are refused, and nothing but the API is there', async t => {
  const socketPath = join(folderOf(t), 'bgtask.sock')
  const serving = await openServing(t, { BGTASK_SOCKET: socketPath, BGTASK_TRUST_PROXY: '127.0.0.1' })
  await serving.start()
  const tasks = async () =>
    Number(
      (
        await serving.background.db.kysely
          .selectFrom('bg_task')
          .select(eb => eb.fn.countAll().as('n'))
          .executeTakeFirstOrThrow()
      ).n,
    )
  for (const name of [
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Real-IP',
    'Forwarded',
    'Via',
    'Origin',
    'Referer',
    'Cookie',
    'Sec-Fetch-Site',
  ]) {
    const { status, text } = await add(socketPath, { [name]: '127.0.0.1' })
    assert.equal(status, 403, name)
    assert.match(text, new RegExp(`The header ${name.toLowerCase()} is of a proxy or a browser`))
  }
  assert.equal((await add(socketPath, { host: 'evil.example' })).status, 421)
  assert.equal(await tasks(), 0)
  for (const path of [
    '/',
    '/admin',
    '/admin/login',
    '/admin/config/users',
    '/admin/config/tokens',
    '/admin/core/bgtask/restart',
    '/cron/x',
    '/nowhere',
  ])
    assert.equal((await ask(socketPath, path)).status, 404, path)
  assert.equal((await ask(socketPath, '/api/v1/loop/restart', { method: 'POST' })).status, 403, 'no more than tasks')
  assert.equal((await ask(socketPath, '/api/v1/nowhere')).status, 404)
  assert.equal((await ask(socketPath, '/api/v1/openapi.json')).status, 200)
  // A token that is sent counts, and not the socket.
  const reading = await serving.token(['task:read'])
  assert.equal((await add(socketPath, { authorization: `Bearer ${reading}` })).status, 403)
  assert.equal((await add(socketPath, { authorization: 'Bearer bgt_1_no' })).status, 401)
  assert.equal((await ask(socketPath, '/api/v1/tasks', { headers: { authorization: `Bearer ${reading}` } })).status, 200)
  // By HTTP nothing has changed.
  assert.equal((await fetch(`${serving.url}/api/v1/tasks`)).status, 401)
  assert.equal(await tasks(), 0)
})

test('what lies at the path: a dead socket is replaced, a living one and anything else is left alone', async t => {
  const folder = folderOf(t)
  const socketPath = join(folder, 'bgtask.sock')
  const serving = await openServing(t, { BGTASK_SOCKET: socketPath })
  await serving.start()
  await serving.kill()
  assert.ok(lstatSync(socketPath).isSocket(), 'SIGKILL leaves it there')
  await serving.start()
  assert.equal((await add(socketPath)).status, 201)
  const serve = (path: string, more: Record<string, string> = {}) => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'index.js'), 'serve'], {
      env: {
        PATH: process.env.PATH,
        BGTASK_RUNTIME: serving.runtime,
        BGTASK_AUTOSTART: 'off',
        PORT: '0',
        BGTASK_SOCKET: path,
        ...more,
      },
      encoding: 'utf8',
      timeout: 20_000,
    })
    return [status, stderr.trim()] as const
  }
  const [busy, why] = serve(socketPath)
  assert.deepEqual(
    [busy, why],
    [75, `Another process listens on ${socketPath}: stop it (ss -xlp names it), or set BGTASK_SOCKET to another path.`],
  )
  assert.equal((await add(socketPath)).status, 201, 'the living one is unharmed')

  const plain = join(folder, 'plain')
  writeFileSync(plain, 'mine')
  assert.match(serve(plain).join(' '), /^78 .*plain is no socket, and is left alone/)
  assert.equal(readFileSync(plain, 'utf8'), 'mine')
  const link = join(folder, 'link')
  symlinkSync(socketPath, link)
  assert.match(serve(link).join(' '), /^78 .*link is a symbolic link, and is left alone/)
  assert.match(serve(join(folder, 'not-there', 'x.sock')).join(' '), /^78 .*cannot listen on .*must be there/)
  assert.match(serve(join(folder, 'x'.repeat(100))).join(' '), /^78 BGTASK_SOCKET is longer than 99 bytes/)
  assert.match(serve(socketPath, { BGTASK_SOCKET_MODE: '0444' }).join(' '), /^78 BGTASK_SOCKET_MODE is "0444"; it must be octal/)
})

test('check warns of a socket for everybody, and of a folder that is not there or is everybody’s', async t => {
  const folder = folderOf(t)
  const said = async (env: Record<string, string>) =>
    (await checkInstallation(await loadConfig({ BGTASK_RUNTIME: join(folder, 'runtime'), ...env })))
      .filter(({ subject }) => subject === 'configuration')
      .map(({ level, sentence }) => `${level} ${sentence}`)
      .join('\n')
  assert.match(await said({ BGTASK_SOCKET: join(folder, 'a', 'x.sock') }), /^error .*is not there/m)
  assert.match(await said({ BGTASK_SOCKET: join(folder, 'x.sock') }), /^ok /)
  assert.match(await said({ BGTASK_SOCKET: join(folder, 'x.sock'), BGTASK_SOCKET_MODE: '666' }), /^warning .*every user of this machine/m)
  const open = join(folder, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  assert.match(await said({ BGTASK_SOCKET: join(open, 'x.sock') }), /^warning Everybody may write/m)
})
