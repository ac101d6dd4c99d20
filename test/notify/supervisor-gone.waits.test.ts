import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { servePanel } from '../helpers/browser.ts'
import { until } from '../helpers/scene.ts'
import { isSigned, startReceiver, webhookSecret } from './receiver.ts'

const root = join(import.meta.dirname, '..', '..')

test('a supervisor that is killed is told by the panel, once, and told again when it is back; one that is stopped is not', async t => {
  const receiver = await startReceiver(t)
  const env = {
    BGTASK_AUTOSTART: 'on',
    BGTASK_NOTIFY_WEBHOOK: receiver.url,
    BGTASK_NOTIFY_SECRET: webhookSecret,
    BGTASK_NOTIFY_ALLOW: '127.0.0.1',
    BGTASK_NOTIFY_GATHER: '1',
  }
  const { runtime, output } = await servePanel(t, env)
  const up = () => until('the supervisor is up', () => readSupervisor(runtime), 60_000)
  const program = async (word: string) => {
    const child = spawn(process.execPath, [join(root, 'index.js'), word], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: runtime, ...env },
      stdio: 'ignore',
    })
    assert.deepEqual(await once(child, 'exit'), [0, null], word)
  }
  await up()
  // Stopped in good order, and started again: nothing to tell.
  await program('stop')
  assert.equal(readSupervisor(runtime), null)
  await program('start')
  const { pid } = await up()
  const db = new DatabaseSync(join(runtime, 'bgtask.sqlite'), { readOnly: true })
  t.after(() => db.close())
  await until('it has entered', () => Number(db.prepare('SELECT pid FROM bg_host').get()?.pid) === pid)
  process.kill(pid, 'SIGKILL')
  await until('it is told', () => receiver.taken.length > 0, 60_000, output)
  const [told] = receiver.taken[0]!.json.data.incidents
  assert.ok(isSigned(receiver.taken[0]!))
  assert.equal(told.kind, 'supervisor-gone')
  assert.match(told.sentence, new RegExp(`^Process ${pid} is gone since .*node index\\.js start$`))
  assert.equal(db.prepare('SELECT count(*) AS n FROM bg_incident').get()!.n, 1, 'the stop was none')
  await program('start')
  await until('that it is back is told', () => receiver.taken.length > 1, 60_000, output)
  const [back] = receiver.taken[1]!.json.data.incidents
  assert.deepEqual([back.id, back.event], [told.id, 'closed'])
  assert.match(back.heading, /is back$/)
  assert.equal(receiver.seen.length, 2)
  await program('stop')
})
