import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeScene, until } from '../helpers/scene.ts'
import { dialects } from '../store/dialects.ts'
import { notified } from './notified.ts'
import { startReceiver, toReceiver } from './receiver.ts'

const dialect = dialects.find(({ name }) => name === 'MariaDB')!

test('a host that dies is told by another one of the same database, and told again when it is back', { skip: dialect.skip }, async t => {
  const receiver = await startReceiver(t)
  const databaseUrl = await dialect.newUrl()
  const here = await notified(t, databaseUrl, toReceiver(receiver))
  const there = await makeScene(t, { databaseUrl })
  await here.supervise()
  const dying = await there.supervise()
  const beats = async () => (await here.db.kysely.selectFrom('bg_host').selectAll().execute()).map(row => Number(row.beat))
  await until('both give signs of life', async () => (await beats()).filter(beat => beat > 2).length === 2, 30_000)
  await dying.kill()
  await until('it is told', () => receiver.taken.length > 0, 120_000, here.supervisorLog)
  const [told] = receiver.taken[0]!.json.data.incidents
  assert.equal(told.kind, 'supervisor-gone')
  assert.match(told.sentence, /has given no sign of life since .* no other host takes it over/)
  await there.supervise()
  await until('that it is back is told', () => receiver.taken.length > 1, 60_000, here.supervisorLog)
  await here.calm()
  assert.equal(receiver.taken[1]!.json.data.incidents[0].event, 'closed')
  assert.equal(receiver.seen.length, 2)
})
