import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkInstallation } from '../../app/api/check.ts'
import { listeningOf, requireSafeListening } from '../../app/api/listening.ts'
import { loadConfig } from '../../app/config.ts'
import { BgtaskError } from '../../app/errors.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { freePort } from '../helpers/free-port.ts'
import { listenPanel } from '../helpers/listening-panel.ts'
import { until } from '../helpers/scene.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'

const root = join(import.meta.dirname, '..', '..')

/** The configuration that these variables make. */
const configured = (env: Record<string, string>) => loadConfig({ BGTASK_RUNTIME: join(tmpdir(), 'bgtask-not-there'), ...env })

test('loopback is this machine alone, whatever the number of its form', async () => {
  for (const HOST of ['127.0.0.1', '127.8.9.10', '127.255.255.255', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost']) {
    assert.equal(listeningOf(await configured({ HOST })), 'local', HOST)
  }
})

test('every other address is open, unless TLS is said to stand in front', async () => {
  const others = [
    '0.0.0.0',
    '::',
    '192.168.1.5',
    '10.0.0.1',
    '126.255.255.255',
    '128.0.0.1',
    '::2',
    'fe80::1',
    'fe80::1%eth0',
    '::1%lo',
    '::ffff:10.0.0.1',
    'panel.lan',
    // Some resolvers take these for 127.0.0.1, others do not.
    '127.1',
    '0',
    '2130706433',
    '0x7f.1',
    'LOCALHOST.evil.example',
    'x.localhost',
  ]
  for (const HOST of others) {
    assert.equal(listeningOf(await configured({ HOST })), 'open', HOST)
    assert.equal(listeningOf(await configured({ HOST, BGTASK_PUBLIC_URL: 'http://panel.lan' })), 'open', `${HOST} without TLS`)
    assert.equal(listeningOf(await configured({ HOST, BGTASK_PUBLIC_URL: 'https://panel.lan' })), 'behind-tls', HOST)
    assert.equal(listeningOf(await configured({ HOST, BGTASK_TRUST_PROXY: '10.0.0.0/8' })), 'behind-tls', HOST)
    const open = await configured({ HOST })
    assert.throws(
      () => requireSafeListening(open),
      (error: unknown) => error instanceof BgtaskError && error.exitCode === 78,
    )
    requireSafeListening({ ...open, insecureListen: true })
  }
})

test('serve refuses to be open: one sentence, exit code 78, and nothing made', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-open-'))
  try {
    for (const HOST of ['0.0.0.0', '::']) {
      const { status, stderr, stdout } = spawnSync(process.execPath, [join(root, 'index.js'), 'serve'], {
        env: {
          ...sharedCompileCache(),
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          BGTASK_RUNTIME: join(folder, 'runtime'),
          PORT: '0',
          HOST,
        },
        encoding: 'utf8',
        timeout: 20_000,
      })
      assert.equal(status, 78, stderr)
      assert.match(stderr, new RegExp(`^HOST is ${HOST}, which others can reach, .*BGTASK_INSECURE_LISTEN=on`))
      assert.equal(stderr.trim().split('\n').length, 1)
      assert.equal(stdout, '')
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('check says so before somebody starts it, and once it is allowed it warns', async () => {
  const about = async (env: Record<string, string>, what = /TLS stands in front/) =>
    (await checkInstallation(await configured(env)))
      .filter(({ subject, sentence }) => subject === 'configuration' && what.test(String(sentence)))
      .map(({ level }) => level)
  assert.deepEqual(await about({ HOST: '0.0.0.0' }), ['error'])
  assert.deepEqual(await about({ HOST: '0.0.0.0', BGTASK_INSECURE_LISTEN: 'on' }), ['warning'])
  assert.deepEqual(await about({ HOST: '0.0.0.0', BGTASK_PUBLIC_URL: 'https://panel.example.com' }), [])
  assert.deepEqual(await about({ BGTASK_INSECURE_LISTEN: 'on' }), [])
  // A name may begin like an address of this machine.
  for (const [name, levels] of [
    ['localhost', []],
    ['127.0.0.1', []],
    ['[::1]', []],
    ['panel.lan', ['warning']],
    ['127.0.0.1.example.com', ['warning']],
    ['localhost.example.com', ['warning']],
  ] as const)
    assert.deepEqual(await about({ BGTASK_PUBLIC_URL: `http://${name}:8080` }, /is not https/), levels, name)
})

test('open all the same: the terminal and every page say so, in both languages; a closed one says nothing', async t => {
  const open = await servePanel(t, { HOST: '0.0.0.0', BGTASK_INSECURE_LISTEN: 'on', BGTASK_ADMIN_PASSWORD: password })
  await until('it warns', () => /WARNING: HOST is 0\.0\.0\.0/.test(open.output()))
  assert.match(open.address, /^http:\/\/127\.0\.0\.1:\d+$/)
  const page = async (path: string, language: string) =>
    (await fetch(open.address + path, { headers: { 'accept-language': language } })).text()
  for (const path of ['/admin/login', '/nowhere', '/admin/setup']) {
    assert.match(await page(path, 'en'), /Open to the network without TLS/, path)
    assert.match(await page(path, 'zh-CN'), /未使用 TLS/, path)
  }
  const closed = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  assert.doesNotMatch(await (await fetch(`${closed.address}/admin/login`)).text(), /without TLS/)
  assert.doesNotMatch(closed.output(), /WARNING/)
})

test('localhost is a loopback address, and other addresses of this machine stay closed', async t => {
  const port = await freePort()
  const panel = await servePanel(t, { HOST: 'localhost', PORT: String(port), BGTASK_ADMIN_PASSWORD: password })
  assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
  assert.match(panel.address, /^http:\/\/(127\.0\.0\.1|localhost):/)
  const outside = Object.values(networkInterfaces())
    .flatMap(found => found ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
  for (const { address } of outside) assert.equal(await connects(address, port), false, address)
  assert.equal(await connects('127.0.0.1', port), true)
})

test('X-Forwarded-For is believed from a declared proxy alone: who is refused too often is counted by its own address', async t => {
  const panel = await listenPanel({ env: { BGTASK_TRUST_PROXY: '127.0.0.7' } })
  t.after(() => panel.close())
  const fail = async (from: string, said: string) => {
    const form = await panel.ask({ url: '/admin/login', from })
    const cookie = (form.headers['set-cookie'] ?? []).map(text => text.split(';')[0]).join('; ')
    const csrf = /name="_csrf" value="([^"]+)"/.exec(form.body)![1]!
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      origin: panel.origin,
      'x-forwarded-for': said,
      'x-real-ip': said,
      forwarded: `for=${said}`,
      'true-client-ip': said,
    }
    return panel.ask({
      method: 'POST',
      url: '/admin/login',
      from,
      as: { cookie, csrf },
      headers,
      body: `_csrf=${encodeURIComponent(csrf)}&name=nobody${said}&password=wrong`,
    })
  }
  assert.equal((await fail('127.0.0.3', '203.0.113.9')).status, 401)
  assert.equal((await fail('127.0.0.7', '203.0.113.10')).status, 401)
  // A client in front of the proxy adds its own word in front; the last one is the proxy's.
  assert.equal((await fail('127.0.0.7', '198.51.100.1, 203.0.113.11')).status, 401)
  const addresses = panel.sql("SELECT ip FROM bg_audit WHERE act = 'login-failed' ORDER BY id").map(({ ip }) => ip)
  assert.deepEqual(addresses, ['127.0.0.3', '203.0.113.10', '203.0.113.11'])
  const counted = panel.sql("SELECT subject FROM bg_login_failure WHERE subject LIKE 'ip:%' ORDER BY subject").map(({ subject }) => subject)
  assert.deepEqual(counted, ['ip:127.0.0.3', 'ip:203.0.113.10', 'ip:203.0.113.11'])
})

const connects = (host: string, port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect({ host, port, timeout: 2_000 }, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
    socket.on('timeout', () => {
      socket.destroy()
      resolve(false)
    })
  })
