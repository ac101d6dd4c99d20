import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { wishDown, wishFresh } from '../../app/store/wishes.ts'
import { killIfThere, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'
import { notified } from './notified.ts'
import { isSigned, startReceiver, toReceiver } from './receiver.ts'

for (const [index, dialect] of dialects.entries()) {
  // What differs between the databases is shown by two of them on each.
  const isFirst = index === 0
  test(`${dialect.name}: a loop that trips, again and again, is one message; its recovery is one; a stop by hand is none`, {
    skip: dialect.skip,
  }, async t => {
    const receiver = await startReceiver(t)
    const { background, db, runtime, incidents, calm, supervise, untilState, task } = await notified(
      t,
      await dialect.newUrl(),
      toReceiver(receiver),
    )
    const file = join(runtime, 'broken')
    writeFileSync(file, '')
    await supervise()
    const loop = await background.addTask('test/trips-while', { file, password: 'hidden-by-its-name' }, 'FOREVER')
    await untilState(loop.id, 'tripped', 60_000)
    await until('the receiver was told', () => receiver.taken.length > 0)
    await calm()
    // A person has it tried again, and it is as it was.
    const { number } = await task(loop.id)
    await wishFresh(db, loop.id, 'kim', Date.now())
    ring(runtime)
    await until('it has tripped again', async () => (await task(loop.id)).number > number && (await task(loop.id)).state === 'tripped')
    await calm()
    assert.equal(receiver.seen.length, 1, 'one message for one incident')
    const [first] = receiver.taken
    assert.ok(isSigned(first!), 'signed')
    assert.ok(!isSigned({ ...first!, body: `${first!.body} ` }), 'over all of the body')
    assert.equal(first!.headers['x-bgtask-delivery'], first!.headers['webhook-id'])
    const [told] = first!.json.data.incidents
    assert.equal(told.kind, 'tripped')
    assert.equal(told.event, 'opened')
    assert.equal(told.url, `https://panel.example.com/admin/core/bgtask/${loop.id}`)
    assert.match(told.heading, new RegExp(`^test/trips-while #${loop.id} has tripped$`))
    assert.match(told.sentence, /code 78/)
    assert.match(told.lines, /cannot go on with/)
    assert.doesNotMatch(first!.body, /hidden-by-its-name|registered-secret/)
    assert.match(first!.json.text, /panel\.example\.com/)
    assert.equal((await incidents())[0]!.n, 2, 'it counts how often')

    rmSync(file)
    await wishFresh(db, loop.id, 'kim', Date.now())
    ring(runtime)
    await until('its recovery is told', () => receiver.taken.length > 1)
    await calm()
    const [again] = receiver.taken[1]!.json.data.incidents
    assert.equal(again.id, told.id)
    assert.equal(again.event, 'closed')
    assert.match(again.heading, /runs again$/)

    await wishDown(db, loop.id, 'kim', Date.now())
    ring(runtime)
    await untilState(loop.id, 'stopped')
    assert.equal(receiver.seen.length, 2)
    assert.deepEqual(
      (await incidents()).map(row => [row.kind, row.closed_how]),
      [['tripped', 'recovered']],
    )
  })

  if (!isFirst)
    test(`${dialect.name}: thirty loops that trip at once are one message, which names them`, { skip: dialect.skip }, async t => {
      const receiver = await startReceiver(t)
      const { background, runtime, calm, supervise, untilState } = await notified(t, await dialect.newUrl(), toReceiver(receiver))
      const file = join(runtime, 'broken')
      writeFileSync(file, '')
      const loops = await background.addTasks(
        Array.from({ length: 30 }, () => ({ action: 'test/trips-while', params: { file }, options: { execType: 'FOREVER' as const } })),
      )
      await supervise()
      for (const { id } of loops) await untilState(id, 'tripped', 60_000)
      await calm()
      assert.equal(receiver.seen.length, 1)
      const { data, text } = receiver.taken[0]!.json
      assert.deepEqual(
        data.incidents.map((one: { task: number }) => one.task).sort((a: number, b: number) => a - b),
        loops.map(({ id }) => id),
      )
      assert.match(text, /^30 incidents: .* and 27 more/)
    })

  test(`${dialect.name}: failed tasks are told by their error, once; a receiver that is down is tried again with the same id`, {
    skip: dialect.skip,
  }, async t => {
    const receiver = await startReceiver(t)
    receiver.answer = { status: 503, body: 'we are\nbeing repaired' }
    const { background, calm, supervise, untilState, incidents, tellers, runs } = await notified(t, await dialect.newUrl(), {
      ...toReceiver(receiver),
      BGTASK_NOTIFY_ACTIONS: 'test/fails, shop/*',
    })
    await supervise()
    const many = await background.addTasks(Array.from({ length: 5 }, () => ({ action: 'test/fails', params: {} })))
    const other = await background.addTask('test/throws', {})
    for (const { id } of [...many, other]) await untilState(id, 'failed', 60_000)
    await until('it was refused', () => receiver.seen.length > 0)
    receiver.answer = { status: 200 }
    await calm()
    assert.equal(receiver.taken.length, 1)
    assert.deepEqual(new Set(receiver.seen.map(one => one.headers['x-bgtask-delivery'])).size, 1, 'the same id each time')
    const { incidents: told } = receiver.taken[0]!.json.data
    assert.equal(told.length, 1, 'what is not wanted is not told')
    assert.match(told[0].heading, /^5 tasks of test\/fails have failed by the same error/)
    assert.match(told[0].sentence, /it did not work out/)
    // Its own failure is none that it tells of; but its runs say what happened.
    assert.deepEqual(
      (await incidents()).map(row => row.action),
      ['test/fails'],
    )
    const [teller] = (await tellers()).filter(task => task.attempt > 0)
    const tries = await runs(teller!.id)
    assert.match(tries.find(run => run.outcome === 'failed')!.content!, /^127\.0\.0\.1 answered 503: we are being repaired\.$/)
    assert.match(
      (await background.db.kysely.selectFrom('bg_task').select('content').where('id', '=', teller!.id).executeTakeFirst())!.content!,
      /^Told 1 incident/,
    )
  })

  if (isFirst)
    test(`${dialect.name}: a supervisor and its sender that are killed before anything is sent: it is told all the same, once`, {
      skip: dialect.skip,
    }, async t => {
      const receiver = await startReceiver(t)
      const { background, runtime, calm, supervise, incidents, marked } = await notified(t, await dialect.newUrl(), {
        ...toReceiver(receiver),
        BGTASK_NOTIFY_GATHER: '3',
      })
      const file = join(runtime, 'broken')
      writeFileSync(file, '')
      const supervisor = await supervise()
      await background.addTask('test/trips-while', { file }, 'FOREVER')
      await until('it is noted, and somebody is about to tell', async () => (await incidents()).length > 0 && marked().length > 0)
      await supervisor.kill()
      for (const { pid } of marked()) killIfThere(pid)
      assert.equal(receiver.seen.length, 0)
      await supervise()
      await until('it is told', () => receiver.taken.length > 0, 30_000)
      await calm()
      assert.equal(receiver.seen.length, 1)
    })
}
