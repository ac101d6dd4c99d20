import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPanel } from '../../helpers/open-panel.ts'
import { dialects } from '../../store/dialects.ts'
import { askWith, codeIn, jsonOf, makeTestToken, sentenceIn } from './ask-with.ts'
import { dieBeforeAnswer, openServing } from './serving.ts'

for (const dialect of dialects) {
  const env = async (): Promise<Record<string, string>> => (dialect.name === 'SQLite' ? {} : { DATABASE_URL: await dialect.newUrl() })
  const tasks = async (db: Parameters<typeof countOf>[0]) => countOf(db)

  test(`${dialect.name}: a repeated request with its key is answered alike and adds nothing`, { skip: dialect.skip }, async t => {
    const panel = await openPanel(t, { env: await env() })
    const { text } = await makeTestToken(panel, ['task:add:test/*'])
    const ask = askWith(panel, text)
    const wish = { action: 'test/ok', params: { order: 12 } }
    const first = await ask('POST', '/tasks', wish, { 'idempotency-key': 'order-12' })
    assert.deepEqual([first.status, first.headers['idempotency-replayed']], [201, undefined])
    for (let times = 0; times < 3; times++) {
      const again = await ask('POST', '/tasks', wish, { 'idempotency-key': 'order-12' })
      assert.deepEqual([again.status, again.body, again.headers['idempotency-replayed']], [201, first.body, 'true'])
      assert.equal(again.headers.location, first.headers.location)
    }
    assert.equal(await tasks(panel.background.db), 1)
    // Also a list, and also when nothing was added.
    const list = [wish, { action: 'test/ok', options: { unique: 'one' } }]
    const many = await ask('POST', '/tasks', list, { 'idempotency-key': 'list' })
    assert.equal((await ask('POST', '/tasks', list, { 'idempotency-key': 'list' })).body, many.body)
    const kept = await ask('POST', '/tasks', list[1], { 'idempotency-key': 'kept' })
    assert.deepEqual([kept.status, (await ask('POST', '/tasks', list[1], { 'idempotency-key': 'kept' })).body], [200, kept.body])
    assert.equal(await tasks(panel.background.db), 3)
    // Another body, another way of the same key.
    const other = await ask('POST', '/tasks', { ...wish, params: { order: 13 } }, { 'idempotency-key': 'order-12' })
    assert.equal(other.status, 422)
    assert.match(sentenceIn(other), /This Idempotency-Key was used for another request/)
    const lines = await ask('POST', '/tasks', `${JSON.stringify(wish)}\n`, {
      'idempotency-key': 'order-12',
      'content-type': 'application/x-ndjson',
    })
    assert.deepEqual([lines.status, codeIn(lines)], [422, 'refused'])
    // What was refused is not remembered: mended, it goes through under the same key.
    assert.equal((await ask('POST', '/tasks', { action: 'test/nothing' }, { 'idempotency-key': 'later' })).status, 422)
    assert.equal((await ask('POST', '/tasks', wish, { 'idempotency-key': 'later' })).status, 201)
    // Of another token it is another key.
    const { text: second } = await makeTestToken(panel, ['task:add:test/*'])
    assert.equal((await askWith(panel, second)('POST', '/tasks', wish, { 'idempotency-key': 'order-12' })).status, 201)
    for (const key of ['', 'two words', 'x'.repeat(256), 'ä']) {
      const answer = await ask('POST', '/tasks', wish, { 'idempotency-key': key })
      assert.equal(answer.status, 422, key)
      assert.match(sentenceIn(answer), /allowed are 1 to 255 letters/)
    }
    assert.equal(await tasks(panel.background.db), 5)
  })

  test(`${dialect.name}: of many at the same time, in two panels, one adds and all are answered alike`, { skip: dialect.skip }, async t => {
    const shared = await env()
    const one = await openPanel(t, { env: shared })
    // A panel of its own process would be no other: what keeps them apart is the database.
    const two = await openPanel(t, { env: { DATABASE_URL: one.config.databaseUrl }, users: false })
    const { text } = await makeTestToken(one, ['task:add:test/*'])
    const asks = [askWith(one, text), askWith(two, text)]
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          asks[n % 2]!('POST', '/tasks', { action: 'test/ok' }, { 'idempotency-key': `round-${round}` }),
        ),
      )
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [201])
      assert.equal(new Set(answers.map(({ body }) => body)).size, 1)
      assert.equal(await tasks(one.background.db), round + 1)
    }
  })

  test(`${dialect.name}: killed after the commit and before the answer, the panel answers the repeated request`, {
    skip: dialect.skip,
  }, async t => {
    const serving = await openServing(t, await env())
    await serving.start(dieBeforeAnswer(1))
    const token = await serving.token(['task:add:test/*'])
    const send = () =>
      fetch(`${serving.url}/api/v1/tasks`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': 'killed' },
        body: JSON.stringify({ action: 'test/ok', params: { n: 1 } }),
      })
    await assert.rejects(send())
    await serving.died()
    assert.equal(await tasks(serving.background.db), 1, 'it was stored')
    await serving.start()
    const answer = await send()
    assert.deepEqual([answer.status, answer.headers.get('idempotency-replayed')], [201, 'true'])
    const { task } = jsonOf<{ task: { id: number; params: unknown } }>({ body: await answer.text() } as Parameters<typeof jsonOf>[0])
    assert.deepEqual(task.params, { n: 1 })
    assert.equal(await tasks(serving.background.db), 1)
  })
}

const countOf = async (db: import('../../../app/store/database.ts').Db): Promise<number> =>
  (await db.kysely.selectFrom('bg_task').select('id').execute()).length
