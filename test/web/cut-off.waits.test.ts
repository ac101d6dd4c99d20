import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { httpLimits } from '../../app/web/http-server.ts'
import { liveLimits } from '../../app/web/live-hub.ts'
import { cookiesOf, password, type ServedPanel, servePanel } from '../helpers/browser.ts'
import { moreSessions } from '../helpers/more-sessions.ts'
import { until } from '../helpers/scene.ts'

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

test('who may read no longer is found within the time, also when another process has said so', { timeout: 120_000 }, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const cookie = await cookiesOf(panel)
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
