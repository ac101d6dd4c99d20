import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Ticket } from '../../app/runs/ticket.ts'
import { Child, SpawnFailed } from '../../app/supervisor/child.ts'
import { makeScene } from '../helpers/scene.ts'

test('a process that cannot be started: the error says why, when it is thrown', async t => {
  const { config, runtime } = await makeScene(t)
  const { execPath } = process
  process.execPath = join(runtime, 'no-such-node')
  t.after(() => (process.execPath = execPath))
  const ticket = { taskId: 1, number: 1, action: 'test/ok', mark: 'none' } as Ticket
  const spawning = Child.spawn(config, ticket, join(runtime, 'runs', '1-1'), null, { ready() {}, end() {}, trouble() {} })
  await assert.rejects(spawning, (error: unknown) => {
    assert.ok(error instanceof SpawnFailed)
    assert.equal((error.cause as NodeJS.ErrnoException).code, 'ENOENT')
    assert.match(error.message, /no process can be had now \(spawn .*no-such-node ENOENT\)/)
    return true
  })
})
