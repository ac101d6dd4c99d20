import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancelTask } from '../../../app/store/wishes.ts'
import { waitLimits } from '../../../app/web/api/wait.ts'
import { openPanel } from '../../helpers/open-panel.ts'
import { until } from '../../helpers/scene.ts'
import { dialects, reopen } from '../../store/dialects.ts'
import { askWith, codeIn, jsonOf, makeTestToken, sentenceIn } from './ask-with.ts'

for (const dialect of dialects) {
  test(`${dialect.name}: all who wait are told as soon as another process records the end`, { skip: dialect.skip }, async t => {
    const panel = await openPanel(t, { env: dialect.name === 'SQLite' ? {} : { DATABASE_URL: await dialect.newUrl() } })
    const other = await reopen(panel.config.databaseUrl)
    const { text } = await makeTestToken(panel, ['task:read'])
    const ask = askWith(panel, text)
    const [one, two] = await panel.background.addTasks([{ action: 'test/ok' }, { action: 'test/ok' }])
    const waiting = Array.from({ length: 60 }, (_, n) => ask('GET', `/tasks/${n % 2 ? one!.id : one!.uid}/wait`))
    const further = ask('GET', `/tasks/${two!.id}/wait`)
    await until(
      'they wait',
      () => panel.seen.filter(({ request, status }) => request.url?.includes('/wait') && status === null).length === 61,
    )
    await cancelTask(other, one!.id, 'another process', Date.now())
    for (const answer of await Promise.all(waiting)) {
      const { ended, task } = jsonOf<{ ended: boolean; task: { id: number; state: string } }>(answer)
      assert.deepEqual([answer.status, ended, task.id, task.state], [200, true, one!.id, 'cancelled'])
    }
    // That an answer was sent is noted a moment after it has come.
    await until(
      'the other waits on, alone',
      () => panel.seen.filter(({ request, status }) => request.url?.includes('/wait') && status === null).length === 1,
    )
    await cancelTask(other, two!.id, 'another process', Date.now())
    assert.equal((await further).status, 200)
  })
}

test('the time is bounded; what has ended is told at once; a loop has no end', async t => {
  const panel = await openPanel(t)
  const { text } = await makeTestToken(panel, ['task:read'])
  const ask = askWith(panel, text)
  const task = await panel.background.addTask('test/ok')
  const over = await ask('GET', `/tasks/${task.id}/wait?timeoutMs=1`)
  assert.deepEqual([over.status, jsonOf(over).ended], [200, false])
  await cancelTask(panel.background.db, task.id, 'the test', Date.now())
  assert.equal(jsonOf(await ask('GET', `/tasks/${task.id}/wait?timeoutMs=0`)).ended, true)
  const loop = await panel.background.addTask('test/forever', {}, 'FOREVER')
  const refused = await ask('GET', `/tasks/${loop.id}/wait`)
  assert.deepEqual([refused.status, codeIn(refused)], [409, 'busy'])
  assert.equal((await ask('GET', `/tasks/${task.id}/wait?timeoutMs=60000`)).status, 422)
  assert.equal((await ask('GET', '/tasks/999/wait')).status, 404)
})

test('no token takes the places of the others', async t => {
  const panel = await openPanel(t)
  const [{ text: greedy }, { text: other }] = [await makeTestToken(panel, ['task:read']), await makeTestToken(panel, ['task:read'])]
  const task = await panel.background.addTask('test/ok')
  const gone = new AbortController()
  const underWay = () => panel.seen.filter(({ request, status }) => request.url?.includes('/wait') && status === null).length
  const waiting = Array.from({ length: waitLimits.perToken - 1 }, () => askWith(panel, greedy)('GET', `/tasks/${task.id}/wait`))
  const leaves = fetch(`${panel.origin}/api/v1/tasks/${task.id}/wait`, {
    headers: { authorization: `Bearer ${greedy}` },
    signal: gone.signal,
  }).catch((error: Error) => error.name)
  await until('they wait', () => underWay() === waitLimits.perToken)
  const beyond = await askWith(panel, greedy)('GET', `/tasks/${task.id}/wait`)
  assert.deepEqual([beyond.status, codeIn(beyond), beyond.headers['retry-after']], [429, 'rate-limited', '5'])
  assert.match(sentenceIn(beyond), /^100 requests of this token wait already; ask again in 5 s, or look at many tasks by GET/)
  // Another one waits beside them; and the greedy one again, as soon as there is a place.
  const beside = askWith(panel, other)('GET', `/tasks/${task.id}/wait`)
  await until('it waits', () => underWay() === waitLimits.perToken + 1)
  gone.abort()
  assert.equal(await leaves, 'AbortError')
  await until('the place is free', async () => (await askWith(panel, greedy)('GET', `/tasks/${task.id}/wait?timeoutMs=1`)).status === 200)
  const next = askWith(panel, greedy)('GET', `/tasks/${task.id}/wait`)
  // The one that was left is never answered.
  await until('it is taken', () => underWay() === waitLimits.perToken + 2)
  await cancelTask(panel.background.db, task.id, 'the test', Date.now())
  for (const answer of await Promise.all([...waiting, beside, next])) assert.deepEqual([answer.status, jsonOf(answer).ended], [200, true])
})
