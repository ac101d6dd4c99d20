import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancelTask } from '../../../app/store/wishes.ts'
import { openPanel } from '../../helpers/open-panel.ts'
import { until } from '../../helpers/scene.ts'
import { dialects, reopen } from '../../store/dialects.ts'
import { askWith, codeIn, jsonOf, makeTestToken } from './ask-with.ts'

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
    assert.equal(
      panel.seen.filter(({ request, status }) => request.url?.includes('/wait') && status === null).length,
      1,
      'the other waits on',
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
