import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { liveLimits } from '../../app/web/live-hub.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { moreSessions } from '../helpers/more-sessions.ts'
import { until } from '../helpers/scene.ts'

let panel: ListeningPanel
let admin: SignedIn

before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
})
after(() => panel.close())

/** A stream read by hand, so that it can also not be read. */
interface Stream {
  socket: Socket
  status: number
  text(): string
  isOpen(): boolean
}

const openStream = (cookie: string, { page = '/admin', headers = 'Sec-Fetch-Site: same-origin' } = {}): Promise<Stream> =>
  new Promise((resolve, reject) => {
    let text = ''
    let open = true
    const socket = connect(panel.port, '127.0.0.1', () =>
      socket.write(
        `GET /admin/live?page=${encodeURIComponent(page)} HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nCookie: ${cookie}\r\nAccept: text/event-stream\r\n${headers ? `${headers}\r\n` : ''}\r\n`,
      ),
    )
    socket.on('error', reject)
    socket.on('close', () => {
      open = false
    })
    socket.on('data', chunk => {
      text += chunk.toString()
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])
      if (status) resolve({ socket, status, text: () => text, isOpen: () => open })
    })
  })

const end = async (streams: Stream[]) => {
  for (const { socket } of streams) socket.destroy()
  // The panel hears of it a moment later, and the next one needs the room.
  await until('nobody reads any more', async () => {
    const probe = await openStream(admin.cookie)
    probe.socket.destroy()
    return probe.status === 200
  })
}

test('only a page of ours opens a stream', async () => {
  const own = `http://127.0.0.1:${panel.port}`
  const allowed = [
    'Sec-Fetch-Site: same-origin',
    `Origin: ${own}`,
    `Referer: ${own}/admin`,
    `Referer: ${own}/admin/core/bgtask?state=failed`,
    `Sec-Fetch-Site: same-origin\r\nOrigin: ${own}`,
  ]
  const refused = [
    '',
    'Sec-Fetch-Site: cross-site',
    'Sec-Fetch-Site: same-site',
    'Sec-Fetch-Site: none',
    'Sec-Fetch-Site:',
    'Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: same-origin',
    'Sec-Fetch-Site: same-origin\r\nOrigin: http://evil.example',
    `Sec-Fetch-Site: cross-site\r\nOrigin: ${own}`,
    `Sec-Fetch-Site: same-site\r\nReferer: ${own}/admin`,
    'Origin: null',
    'Origin: http://evil.example',
    `Origin: http://127.0.0.1:${panel.port + 1}`,
    `Origin: https://127.0.0.1:${panel.port}`,
    'Referer: http://evil.example/',
    `Referer: ${own}.evil.example/`,
    `Referer: http://evil.example/?${own}`,
    'Referer: about:blank',
    'Referer: ',
    `Origin: http://evil.example\r\nReferer: ${own}/admin`,
  ]
  for (const headers of allowed) {
    const stream = await openStream(admin.cookie, { headers })
    assert.equal(stream.status, 200, headers)
    stream.socket.destroy()
  }
  for (const headers of refused) {
    const stream = await openStream(admin.cookie, { headers })
    assert.equal(stream.status, 403, headers)
    stream.socket.destroy()
  }
})

test('so many for a session, so many in all; who leaves makes room', async () => {
  await end([])
  const cookies = [admin.cookie, ...moreSessions(panel.runtime, admin.cookie, liveLimits.inAll / liveLimits.perSession)]
  const streams: Stream[] = []
  for (const cookie of cookies.slice(0, -1)) {
    for (let own = 0; own < liveLimits.perSession; own++) streams.push(await openStream(cookie))
    const another = await openStream(cookie)
    assert.equal(another.status, 429)
    another.socket.destroy()
  }
  assert.equal(streams.length, liveLimits.inAll)
  assert.deepEqual(new Set(streams.map(({ status }) => status)), new Set([200]))
  const tooMany = await openStream(cookies.at(-1)!)
  assert.equal(tooMany.status, 429)
  tooMany.socket.destroy()
  assert.ok(streams.every(stream => stream.isOpen()))
  // Pages go on while all of them are open.
  assert.equal((await panel.ask({ url: '/admin', as: admin })).status, 200)
  await end(streams)
})

/** A page with output that grows as the test wants. */
const growingOutput = async () => {
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const paths = runtimePaths(panel.runtime).run(`${id}-1`)
  mkdirSync(paths.folder, { recursive: true })
  const line = `${'x'.repeat(1_023)}\n`
  return { page: `/admin/core/bgtask/${id}?run=1`, grow: (kilobytes: number) => appendFileSync(paths.output, line.repeat(kilobytes)) }
}

/** What waits in this process for the reader at the other end of that connection. */
const waitingFor = ({ socket }: Stream): number => {
  const found = panel.seen.find(({ request }) => request.socket.remotePort === socket.localPort)
  return found?.request.socket.writableLength ?? 0
}

test('a reader that takes nothing is dropped, what waited for it is bounded, and the others miss nothing', {
  timeout: 60_000,
}, async () => {
  const { page, grow } = await growingOutput()
  const [own, other] = moreSessions(panel.runtime, admin.cookie, 2)
  const slow = await openStream(own!, { page })
  const fast = await openStream(other!, { page })
  slow.socket.pause()
  let most = 0
  await until(
    'the slow one is dropped',
    () => {
      grow(64)
      most = Math.max(most, waitingFor(slow))
      slow.socket.resume().pause()
      return !panel.seen.some(({ request }) => request.socket.remotePort === slow.socket.localPort && !request.socket.destroyed)
    },
    40_000,
    () => `${waitingFor(slow)} bytes wait for it`,
  )
  assert.ok(most > 0, 'something has waited')
  // What is sent at once is a piece of output or a region; so much may come on top of the limit.
  assert.ok(most <= liveLimits.waitingBytes + 600_000, `${most} bytes waited`)
  assert.ok(fast.isOpen())
  grow(1)
  const before = fast.text().length
  await until('the other one goes on', () => {
    grow(1)
    return fast.text().length > before
  })
  await end([slow, fast])
})

test('a stream whose session is over is closed, also when its reader takes nothing', { timeout: 60_000 }, async () => {
  const { page, grow } = await growingOutput()
  const other = await panel.signIn('admin', { from: '127.0.3.3' })
  const slow = await openStream(other.cookie, { page })
  slow.socket.pause()
  await until(
    'something waits for it',
    () => {
      grow(64)
      return waitingFor(slow) > 100_000
    },
    40_000,
  )
  assert.equal((await panel.ask({ method: 'POST', url: '/admin/logout', as: other, body: {} })).status, 303)
  await until(
    'it is closed',
    () => panel.seen.some(({ request }) => request.socket.remotePort === slow.socket.localPort && request.socket.destroyed),
    5_000,
  )
  // What changes afterwards is not written to it, which would end the panel's process.
  grow(64)
  assert.equal((await panel.ask({ url: '/admin', as: admin })).status, 200)
  slow.socket.destroy()
})

test('a position that is none begins at the end, and is not kept', async () => {
  for (const given of ['x'.repeat(10_000), '-1:5', '1:5:7', '1', ' 1:2', '99999999999999999999:1', '<b>:1']) {
    const stream = await openStream(admin.cookie, { headers: `Sec-Fetch-Site: same-origin\r\nLast-Event-ID: ${given}` })
    assert.equal(stream.status, 200, given.slice(0, 30))
    stream.socket.destroy()
  }
  await end([])
})
