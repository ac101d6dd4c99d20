import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listAudit } from '../../../app/store/audit.ts'
import { openPanel } from '../../helpers/open-panel.ts'
import { dialects } from '../../store/dialects.ts'
import { askWith, codeIn, jsonOf, makeTestToken, sentenceIn } from './ask-with.ts'

for (const dialect of dialects) {
  test(`${dialect.name}: another due time by id, uid and key; of what does not wait, none`, { skip: dialect.skip }, async t => {
    const panel = await openPanel(t, { env: dialect.name === 'SQLite' ? {} : { DATABASE_URL: await dialect.newUrl() } })
    const { text, id: token } = await makeTestToken(panel, ['task:control'], 'school')
    const ask = askWith(panel, text)
    const { id, uid } = await panel.background.addTask('test/ok', {}, { unique: 'teacher:17', delayMs: 60_000 })
    const movedTo = async (path: string, body: object) => {
      const answer = await ask('POST', path, body)
      assert.equal(answer.status, 200, answer.body)
      return jsonOf<{ task: { id: number; runAt: number } }>(answer).task
    }
    const at = Date.now() + 3_600_000
    assert.deepEqual(await movedTo(`/tasks/${id}/move`, { runAt: at }).then(({ runAt }) => runAt), at)
    const iso = '2040-01-02T03:04:05+01:00'
    assert.equal((await movedTo(`/tasks/${uid}/move`, { runAt: iso })).runAt, Date.parse(iso))
    const before = Date.now()
    const byKey = await movedTo('/tasks/move', { unique: 'teacher:17', delayMs: 600_000 })
    assert.equal(byKey.id, id)
    assert.ok(byKey.runAt >= before + 600_000 && byKey.runAt <= Date.now() + 600_000)
    const [row] = await listAudit(panel.background.db, { limit: 1, act: 'task-move' })
    assert.deepEqual([row?.subject, row?.userName], [String(id), `school (token ${token})`])
    assert.match(row?.detail ?? '', /by its unique key, from 2040-01-02T02:04:05/)

    for (const [path, body, words] of [
      [`/tasks/${id}/move`, {}, /Neither runAt nor delayMs/],
      [`/tasks/${id}/move`, { runAt: null }, /Neither runAt nor delayMs/],
      [`/tasks/${id}/move`, { runAt: at, delayMs: 1 }, /runAt.*delayMs/],
      [`/tasks/${id}/move`, { runAt: 'soon' }, /runAt is "soon"/],
      [`/tasks/${id}/move`, { delayMs: '10' }, /delayMs must be/],
      [`/tasks/${id}/move`, { unique: 'teacher:17', delayMs: 1 }, /unique is not known/],
      ['/tasks/move', { delayMs: 1 }, /unique is missing/],
    ] as const) {
      const answer = await ask('POST', path, body)
      assert.equal(answer.status, 422, answer.body)
      assert.match(sentenceIn(answer), words)
    }
    assert.equal((await ask('POST', '/tasks/move', { unique: 'nobody has it', delayMs: 1 })).status, 404)
    assert.equal((await ask('POST', '/tasks/9999/move', { delayMs: 1 })).status, 404)
    await panel.background.cancelTask(id)
    const ended = await ask('POST', `/tasks/${id}/move`, { delayMs: 1 })
    assert.deepEqual([ended.status, codeIn(ended)], [409, 'busy'])
    const loop = await panel.background.addTask('test/forever', {}, 'FOREVER')
    assert.equal((await ask('POST', `/tasks/${loop.id}/move`, { delayMs: 1 })).status, 409)
  })
}

test('a command is moved by those alone who may run it', async t => {
  const panel = await openPanel(t)
  const { id } = await panel.background.sendCommand('deploy', { environment: 'staging', revision: 'a1b2c3d' }, { delayMs: 3_600_000 })
  const ask = async (scopes: string[]) =>
    askWith(panel, (await makeTestToken(panel, scopes)).text)('POST', `/tasks/${id}/move`, { delayMs: 7_200_000 })
  assert.equal((await ask(['task:control', 'command:clear-cache'])).status, 403)
  assert.equal((await ask(['task:control', 'command:deploy'])).status, 200)
})
