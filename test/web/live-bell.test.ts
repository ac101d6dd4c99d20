import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { ring, ringPanels } from '../../app/runs/doorbell.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { wishDown } from '../../app/store/wishes.ts'
import { loadAssets } from '../../app/web/assets.ts'
import { createLiveHub } from '../../app/web/live-hub.ts'
import { createPages } from '../../app/web/render.ts'
import { makeScene, until } from '../helpers/scene.ts'

test('a page whose task has changed is brought up to date when the bell rings, and no other one', async t => {
  const { background, config, runtime } = await makeScene(t)
  const addresses = { root: '/admin', top: '' }
  const pages = createPages(loadAssets('/admin'), addresses)
  const errors: unknown[] = []
  // It never looks by itself.
  const hub = createLiveHub({ config, background, pages, root: '/admin', report: error => errors.push(error), pollMs: 3_600_000 })
  const server = createServer((incoming, raw) => {
    raw.writeHead(200, { 'content-type': 'text/event-stream' })
    const reader = { language: 'en', theme: 'system', times: 'relative', user: { id: 1, name: 'admin', role: 'admin' } } as const
    hub.join({ raw, sessionHash: incoming.url!, reader, page: incoming.url!, seen: '' })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    hub.close()
    server.close()
    server.closeAllConnections()
  })
  const open = async (page: string) => {
    let text = ''
    const { port } = server.address() as AddressInfo
    request({ host: '127.0.0.1', port, path: page, agent: false }, answer => answer.on('data', (chunk: Buffer) => (text += chunk))).end()
    await until(`${page} is there`, () => text.includes('turbo-stream'))
    return {
      since: () => {
        const all = text
        text = ''
        return all
      },
      seen: () => text,
    }
  }
  const add = () => background.addTask('test/forever', {}, { execType: 'FOREVER' })
  const [one, other] = [await add(), await add()]
  const [own, foreign, overview] = [
    await open(`/admin/core/bgtask/${one.id}`),
    await open(`/admin/core/bgtask/${other.id}`),
    await open('/admin'),
  ]
  // The first time it does not know how they stood.
  ringPanels(runtime)
  await wishDown(background.db, other.id, 'somebody-else', Date.now())
  ring(runtime)
  await until('the other one has heard', () => foreign.seen().includes('somebody-else'))
  for (const page of [own, foreign, overview]) page.since()

  await wishDown(background.db, one.id, 'the-bell-ringer', Date.now())
  ringPanels(runtime)
  await until('its page shows it', () => own.seen().includes('the-bell-ringer'))
  assert.equal(foreign.seen(), '')
  assert.deepEqual(errors, [])
})

test('the supervisor rings when it has written what became of tasks', { timeout: 60_000 }, async t => {
  const scene = await makeScene(t)
  await scene.supervise()
  const rungAt = () => statSync(runtimePaths(scene.runtime).changed, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const before = Date.now()
  const once = await scene.background.addTask('test/ok')
  await scene.untilState(once.id, 'succeeded')
  const first = await until('it has rung', () => rungAt() > before - 1_000 && rungAt())
  const loop = await scene.background.addTask('test/forever', {}, 'FOREVER')
  await scene.untilState(loop.id, 'running')
  const second = await until('it has rung again', () => rungAt() > first && rungAt())
  await wishDown(scene.background.db, loop.id, 'test', Date.now())
  await scene.untilState(loop.id, 'stopped')
  await until('and for its end', () => rungAt() > second)
  assert.equal(statSync(runtimePaths(scene.runtime).changed).mode & 0o777, 0o600)
})
