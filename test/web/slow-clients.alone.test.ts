import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { httpLimits } from '../../app/web/http-server.ts'
import { liveLimits } from '../../app/web/live-hub.ts'
import type { Attack, Molested } from '../../scripts/bench/attack.ts'
import { cookiesOf, password, type ServedPanel, servePanel } from '../helpers/browser.ts'
import { moreSessions } from '../helpers/more-sessions.ts'
import { until } from '../helpers/scene.ts'

const program = join(import.meta.dirname, '..', '..', 'scripts', 'bench', 'attack.ts')

const molest = async (t: TestContext, panel: ServedPanel, attack: Omit<Attack, 'port'>) => {
  const port = Number(new URL(panel.address).port)
  const child = spawn(process.execPath, [program, JSON.stringify({ port, ...attack } satisfies Attack)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let told: Molested | undefined
  createInterface({ input: child.stdout }).on('line', line => {
    told = JSON.parse(line) as Molested
  })
  return {
    told: () => told,
    end: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

const look = async ({ address }: ServedPanel, cookie: string) => {
  const answer = await fetch(`${address}/admin/core/bgtask`, { headers: { cookie, connection: 'close' }, redirect: 'manual' })
  return { status: answer.status, isPage: (await answer.text()).endsWith('</html>\n') }
}

const residentMb = ({ process: { pid } }: ServedPanel) =>
  (Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024) / 1e6
const descriptors = ({ process: { pid } }: ServedPanel) => readdirSync(`/proc/${pid}/fd`).length

test('500 slow clients, 200 readers and a login flood: the page answers, and nothing grows', { timeout: 180_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_TRUST_PROXY: '127.0.0.1' })
  const cookie = await cookiesOf(panel)
  const [spare, ...cookies] = moreSessions(panel.runtime, cookie, 1 + liveLimits.inAll / liveLimits.perSession)
  const readers = Array.from({ length: liveLimits.inAll }, (_, at) => ({
    cookie: cookies[Math.floor(at / liveLimits.perSession)]!,
    page: '/admin',
  }))
  const attack = await molest(t, panel, { slow: 500, readers, logins: 16 })
  await until(
    'all of them are there',
    () => (attack.told()?.slow ?? 0) >= 500 && attack.told()?.readers === liveLimits.inAll,
    60_000,
    () => JSON.stringify(attack.told()),
  )

  const page = { status: 200, isPage: true }
  for (let looks = 0; looks < 20; looks++) assert.deepEqual(await look(panel, cookie), page)
  await until('passwords were looked at', () => (attack.told()?.logins[401] ?? 0) > 0, 60_000)
  const another = await fetch(`${panel.address}/admin/live?page=/admin`, { headers: { cookie: spare!, 'sec-fetch-site': 'same-origin' } })
  assert.equal(another.status, 429, 'one reader more than there may be')
  const early = residentMb(panel)
  const from = performance.now()
  // Every slow client that came first is cut off meanwhile, and has come again.
  await until(
    'some seconds of it',
    async () => {
      assert.deepEqual(await look(panel, cookie), page)
      return performance.now() > from + httpLimits.headersMs + 2 * httpLimits.checkMs
    },
    60_000,
  )
  assert.equal(attack.told()?.readers, liveLimits.inAll, 'those who only read were let be')
  assert.ok(descriptors(panel) < httpLimits.connections + 100, `${descriptors(panel)} descriptors`)
  // Two passwords at a time take 64 MiB each, and a heap breathes; 700 clients that kept 1 MB each would be seen.
  assert.ok(residentMb(panel) < early + 300, `${early} MB, then ${residentMb(panel)} MB`)
  await attack.end()
  await until(
    'all that belonged to them is gone',
    () => descriptors(panel) < 60,
    30_000,
    () => `${descriptors(panel)} descriptors`,
  )
  assert.deepEqual(await look(panel, cookie), page)
})

test('more connections than there is room for: the one that waits longest goes, a stream and a page stay', {
  timeout: 120_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const cookie = await cookiesOf(panel)
  const stream = await fetch(`${panel.address}/admin/live?page=/admin`, { headers: { cookie, 'sec-fetch-site': 'same-origin' } })
  assert.equal(stream.status, 200)
  let streamIsOpen = true
  void (async () => {
    try {
      for await (const chunk of stream.body!) if (chunk === undefined) break
    } finally {
      streamIsOpen = false
    }
  })().catch(() => undefined)
  const sockets: (Socket & { at?: number })[] = []
  const gone: number[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  const count = httpLimits.connections + 300
  for (let at = 0; at < count; at++) {
    const socket = connect(Number(new URL(panel.address).port), '127.0.0.1')
    sockets.push(socket)
    socket.resume()
    socket.on('error', () => socket.destroy())
    socket.once('close', () => gone.push(at))
    await once(socket, 'connect')
    if (at % 100 === 0) assert.deepEqual(await look(panel, cookie), { status: 200, isPage: true }, `after ${at}`)
  }
  await until('room was made', () => gone.length >= 300, 8_000)
  assert.ok(Math.max(...gone) < count / 2, 'the oldest were closed')
  assert.ok(descriptors(panel) < httpLimits.connections + 60, `${descriptors(panel)} descriptors`)
  assert.ok(streamIsOpen)
  assert.deepEqual(await look(panel, cookie), { status: 200, isPage: true })
})
