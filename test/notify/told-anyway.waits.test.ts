import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'
import { partOf, startMailServer } from './mail-server.ts'
import { notified } from './notified.ts'
import { startReceiver, toReceiver } from './receiver.ts'

for (const dialect of dialects) {
  test(`${dialect.name}: long tasks that fill every slot do not keep it from being told`, { skip: dialect.skip }, async t => {
    const receiver = await startReceiver(t)
    const { background, runtime, supervise, untilState, task, calm } = await notified(t, await dialect.newUrl(), {
      ...toReceiver(receiver),
      BGTASK_MAX_RUNNING: '1',
    })
    await supervise()
    const exporting = await background.addTask('test/awaits-signal', {})
    await untilState(exporting.id, 'running')
    const waiting = await background.addTask('test/ok', {})
    const file = join(runtime, 'broken')
    writeFileSync(file, '')
    const loop = await background.addTask('test/trips-while', { file }, 'FOREVER')
    await untilState(loop.id, 'tripped', 60_000)
    await until('it is told', () => receiver.taken.length > 0, 30_000)
    await calm()
    assert.equal(receiver.taken[0]!.json.data.incidents[0].task, loop.id)
    assert.equal((await task(exporting.id)).state, 'running')
    assert.equal((await task(waiting.id)).state, 'waiting', 'the slot is for what tells, and for nothing else')
  })

  test(`${dialect.name}: a loop that stalls is told by mail; that it goes on is told too`, { skip: dialect.skip }, async t => {
    const server = await startMailServer(t)
    const { background, runtime, supervise, untilState, calm, incidents } = await notified(t, await dialect.newUrl(), {
      BGTASK_NOTIFY_SMTP: `smtp://127.0.0.1:${server.port}`,
      BGTASK_NOTIFY_FROM: 'bgtask@example.com',
      BGTASK_NOTIFY_TO: 'ops@example.com',
    })
    await supervise()
    const file = join(runtime, 'stuck')
    writeFileSync(file, '')
    const loop = await background.addTask('test/stalls-while', { file }, 'FOREVER')
    await untilState(loop.id, 'stalled', 30_000)
    await until('it is told', () => server.mails.length > 0, 30_000)
    const [first] = server.mails
    assert.deepEqual(first!.to, ['ops@example.com'])
    assert.match(partOf(first!.data, 'text/plain'), new RegExp(`test/stalls-while #${loop.id} `))
    assert.match(partOf(first!.data, 'text/plain'), /iteration/)
    rmSync(file)
    await until('that it goes on is told', () => server.mails.length > 1, 30_000)
    await calm()
    assert.equal(server.mails.length, 2)
    assert.deepEqual(
      (await incidents()).map(row => [row.kind, row.closed_how]),
      [['stalled', 'recovered']],
    )
  })

  test(`${dialect.name}: what happens in quiet hours is told at their end, in one message`, { skip: dialect.skip }, async t => {
    const receiver = await startReceiver(t)
    const clock = (at: number) => new Date(at).toISOString().slice(11, 16)
    const hourMs = 3_600_000
    const now = Date.now()
    const { background, db, runtime, supervise, untilState, task, tellers, calm } = await notified(t, await dialect.newUrl(), {
      ...toReceiver(receiver),
      BGTASK_NOTIFY_QUIET: `${clock(now - hourMs)}-${clock(now + hourMs)} UTC`,
    })
    await supervise()
    const file = join(runtime, 'broken')
    writeFileSync(file, '')
    const loop = await background.addTask('test/trips-while', { file }, 'FOREVER')
    const failed = await background.addTask('test/fails', {})
    await untilState(loop.id, 'tripped', 60_000)
    await untilState(failed.id, 'failed', 60_000)
    const notices = () => db.kysely.selectFrom('bg_notice').selectAll().execute()
    await until('both are noted', async () => (await notices()).length === 2)
    const end = Math.floor((now + hourMs) / 60_000) * 60_000
    assert.deepEqual(
      (await notices()).map(row => Number(row.tell_at)),
      [end, end],
    )
    const [teller, ...more] = await tellers()
    assert.deepEqual([teller!.state, teller!.runAt, more.length], ['waiting', end, 0])
    assert.equal(receiver.seen.length, 0)

    // The hours pass: in the rows, since nobody wants to wait for them.
    await db.kysely.updateTable('bg_notice').set({ tell_at: Date.now() }).execute()
    await db.kysely.updateTable('bg_task').set({ run_at: Date.now() }).where('id', '=', teller!.id).execute()
    ring(runtime)
    await until('it is told', () => receiver.taken.length > 0, 30_000)
    await calm()
    assert.equal(receiver.seen.length, 1)
    assert.deepEqual(receiver.taken[0]!.json.data.incidents.map((one: { kind: string }) => one.kind).sort(), ['failed', 'tripped'])
    assert.equal((await task(teller!.id)).state, 'succeeded')
  })
}
