import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { httpLimits } from '../../app/web/http-server.ts'
import { liveLimits } from '../../app/web/live-hub.ts'
import type { Attack, Molested } from '../../scripts/bench/attack.ts'
import { password, type ServedPanel, servePanel } from '../helpers/browser.ts'
import { moreSessions } from '../helpers/more-sessions.ts'
import { until } from '../helpers/scene.ts'

const program = join(import.meta.dirname, '..', '..', 'scripts', 'bench', 'attack.ts')

/** Cookies of a session of `admin`. */
const signIn = async ({ address }: ServedPanel): Promise<string> => {
  const cookieOf = (answer: Response) =>
    answer.headers
      .getSetCookie()
      .map(one => one.split(';')[0])
      .join('; ')
  const form = await fetch(`${address}/admin/login`)
  const token = /name="_csrf" value="([^"]+)"/.exec(await form.text())![1]!
  const headers = { origin: address, cookie: cookieOf(form) }
  const body = new URLSearchParams({ _csrf: token, name: 'admin', password })
  const answer = await fetch(`${address}/admin/login`, { method: 'POST', redirect: 'manual', headers, body })
  assert.equal(answer.status, 303)
  return cookieOf(answer)
}

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
  const cookie = await signIn(panel)
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

/** A connection that says this, and then goes on with that once a second. */
const trickle = (panel: ServedPanel, first: string, more: string) => {
  const began = performance.now()
  let said = ''
  let sending: NodeJS.Timeout | undefined
  const socket = connect(Number(new URL(panel.address).port), '127.0.0.1', () => {
    if (first) socket.write(first)
    if (more) sending = setInterval(() => socket.write(more), 1_000)
  })
  socket.on('data', chunk => {
    said += chunk.toString('latin1')
  })
  socket.on('error', () => socket.destroy())
  return new Promise<{ tookMs: number; said: string }>(resolve =>
    socket.once('close', () => {
      clearInterval(sending)
      resolve({ tookMs: performance.now() - began, said })
    }),
  )
}

test('who is slow is cut off in time: in silence, in the head, in the body; and told why', { timeout: 120_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const host = `Host: ${new URL(panel.address).host}\r\n`
  const post = `POST /admin/login HTTP/1.1\r\n${host}Origin: ${panel.address}\r\nContent-Type: application/x-www-form-urlencoded\r\n`
  const [silent, head, body, chunks] = await Promise.all([
    trickle(panel, '', ''),
    trickle(panel, `GET /admin/login HTTP/1.1\r\n${host}`, 'x: y\r\n'),
    trickle(panel, `${post}Content-Length: 100000\r\n\r\n`, 'a'),
    trickle(panel, `${post}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'),
  ])
  for (const [name, { tookMs, said }, limitMs] of [
    ['silent', silent, httpLimits.headersMs],
    ['head', head, httpLimits.headersMs],
    ['body', body, httpLimits.requestMs],
    ['chunks', chunks, httpLimits.requestMs],
  ] as const) {
    assert.ok(tookMs >= limitMs - 100, `${name}: ${tookMs} ms`)
    // Not by its own clock alone: before anything else would have ended it.
    assert.ok(tookMs < httpLimits.keepAliveMs, `${name}: ${tookMs} ms`)
    assert.match(said, /^HTTP\/1\.1 408 /, name)
    assert.match(said, /content-security-policy: default-src 'none'/, name)
    assert.match(said, /cache-control: no-store/, name)
  }
})

test('more connections than there is room for: the one that waits longest goes, a stream and a page stay', {
  timeout: 120_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const cookie = await signIn(panel)
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

test('who may read no longer is found within the time, also when another process has said so', { timeout: 120_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const cookie = await signIn(panel)
  const [revoked, lowered] = moreSessions(panel.runtime, cookie, 2)
  const database = new DatabaseSync(join(panel.runtime, 'bgtask.sqlite'), { timeout: 10_000 })
  t.after(() => database.close())
  const open = async (own: string) => {
    const answer = await fetch(`${panel.address}/admin/live?page=/admin`, { headers: { cookie: own, 'sec-fetch-site': 'same-origin' } })
    assert.equal(answer.status, 200)
    const reader = answer.body!.getReader()
    await reader.read()
    const ended = (async () => {
      while (!(await reader.read()).done);
    })()
    // Of streams that the end of the test ends.
    ended.catch(() => undefined)
    return { ended }
  }
  const watch = ({ ended }: { ended: Promise<void> }) => {
    const seen = { isOver: false }
    ended
      .finally(() => {
        seen.isOver = true
      })
      .catch(() => undefined)
    return seen
  }
  const untilOver = (seen: { isOver: boolean }) => until('the stream is ended', () => seen.isOver, liveLimits.checkMs + 10_000)
  const stays = watch(await open(cookie))
  const goes = watch(await open(revoked!))
  const hashOf = (own: string) => {
    const value = decodeURIComponent(/(?:^|; )bgtask-[0-9a-f]+=([^;]+)/.exec(own)![1]!)
    return createHash('sha256')
      .update(value.slice(0, value.lastIndexOf('.')))
      .digest('hex')
  }
  assert.equal(database.prepare('DELETE FROM bg_session WHERE id_hash = ?').run(hashOf(revoked!)).changes, 1)
  await untilOver(goes)
  assert.ok(!stays.isOver, 'the other session reads on')
  const lower = watch(await open(lowered!))
  database.prepare("UPDATE bg_user SET role = 'viewer' WHERE name = 'admin'").run()
  await untilOver(lower)
  await untilOver(stays)
})
