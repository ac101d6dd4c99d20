import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listAudit } from '../../../app/store/audit.ts'
import { findTask } from '../../../app/store/find-task.ts'
import type { Json } from '../../../app/task/task.ts'
import { openPanel } from '../../helpers/open-panel.ts'
import { dialects } from '../../store/dialects.ts'
import { askWith, codeIn, jsonOf, makeTestToken, sentenceIn } from './ask-with.ts'

interface Told {
  n: number
  by: string | null
  via: string
  effect: string
  revertOf: number | null
  changes: { limit: string | null; name: string; from: string | null; to: string | null; isHidden: boolean }[]
}
const editIn = (answer: Parameters<typeof jsonOf>[0]) => jsonOf<{ edit: Told }>(answer).edit

for (const dialect of dialects) {
  test(`${dialect.name}: a loop gets other params and limits by id and uid, and those from before back; who did it is told and audited`, {
    skip: dialect.skip,
  }, async t => {
    const panel = await openPanel(t, { env: dialect.name === 'SQLite' ? {} : { DATABASE_URL: await dialect.newUrl() } })
    const { db } = panel.background
    const { text, id: token } = await makeTestToken(panel, ['task:control', 'task:read', 'task:add:test/*'], 'shop')
    const ask = askWith(panel, text)
    const { id, uid, wish } = await panel.background.addTask('test/forever', { intervalMs: 100 }, 'FOREVER')
    const first = await ask('POST', `/tasks/${uid}/edit`, { params: { intervalMs: 200 }, graceMs: 3_000, effect: 'restart' })
    assert.equal(first.status, 200, first.body)
    const { n, by, via, effect, changes } = editIn(first)
    assert.deepEqual([n, by, via, effect], [1, `shop (token ${token})`, 'token', 'restart'])
    assert.deepEqual(
      changes.map(({ limit, name, from, to }) => [limit ?? name, from, to]),
      [
        ['intervalMs', '100', '200'],
        ['graceMs', '10000', '3000'],
      ],
    )
    const task = (await findTask(db, id))!
    assert.deepEqual([task.params, task.graceMs, task.wish, task.edits], [{ intervalMs: 200 }, 3_000, wish + 1, 1])
    assert.equal(editIn(await ask('POST', `/tasks/${id}/edit`, { graceMs: 4_000 })).effect, 'next')
    assert.deepEqual((await findTask(db, id))!.params, { intervalMs: 200 }, 'what is not given stays as it is')
    const back = await ask('POST', `/tasks/${id}/edits/1/reversal`, { seen: { edits: 2, superseded: 0 } })
    assert.deepEqual([back.status, editIn(back).n, editIn(back).revertOf], [200, 3, 1])
    const reverted = (await findTask(db, id))!
    assert.deepEqual([reverted.params, reverted.graceMs], [{ intervalMs: 100 }, 10_000])
    const list = jsonOf<{ edits: Told[]; older: number | null }>(await ask('GET', `/tasks/${uid}/edits?limit=2`))
    assert.deepEqual([list.edits.map(edit => edit.n), list.older], [[3, 2], 2])
    assert.deepEqual(jsonOf<typeof list>(await ask('GET', `/tasks/${uid}/edits?before=2`)).edits, [editIn(first)])
    assert.deepEqual(
      (await listAudit(db, { limit: 3, subject: String(id) })).map(({ act, userName, via, detail }) => [act, userName, via, detail]),
      [
        ['task-reversal', `shop (token ${token})`, 'token', 'test/forever: params.intervalMs, graceMs'],
        ['task-edit', `shop (token ${token})`, 'token', 'test/forever: graceMs'],
        ['task-edit', `shop (token ${token})`, 'token', 'test/forever: params.intervalMs, graceMs'],
      ],
    )

    // Who was slower is told so, and nothing is stored.
    for (const [path, body] of [
      [`/tasks/${id}/edit`, { graceMs: 5_000, seen: { edits: 1, superseded: 0 } }],
      [`/tasks/${id}/edits/2/reversal`, { seen: { edits: 3, superseded: 1 } }],
    ] as const) {
      const late = await ask('POST', path, body)
      assert.deepEqual([late.status, codeIn(late)], [409, 'conflict'], late.body)
    }

    // The same request under one key is done once, also when the task has changed since.
    const key = { 'idempotency-key': 'one-edit' }
    const once = await ask('POST', `/tasks/${id}/edit`, { graceMs: 6_000, seen: { edits: 3, superseded: 0 } }, key)
    const again = await ask('POST', `/tasks/${id}/edit`, { graceMs: 6_000, seen: { edits: 3, superseded: 0 } }, key)
    assert.deepEqual([once.status, again.status, again.headers['idempotency-replayed']], [200, 200, 'true'])
    assert.equal(again.body, once.body)
    assert.equal((await findTask(db, id))!.edits, 4)

    for (const [path, body, status, words] of [
      [`/tasks/${id}/edit`, {}, 422, /Nothing of this differs/],
      [`/tasks/${id}/edit`, { graceMs: 6_000 }, 422, /Nothing of this differs/],
      [`/tasks/${id}/edit`, { timeoutMs: 1_000 }, 422, /is a loop, which has no timeoutMs/],
      [`/tasks/${id}/edit`, { graceMs: -1 }, 422, /graceMs is -1/],
      [`/tasks/${id}/edit`, { graceMs: '1' }, 422, /graceMs must be/],
      [`/tasks/${id}/edit`, { action: 'test/ok' }, 422, /action is not known/],
      [`/tasks/${id}/edit`, { effect: 'now', graceMs: 1 }, 422, /effect must be/],
      [`/tasks/${id}/edit`, { graceMs: 1, seen: { edits: 4 } }, 422, /superseded is missing/],
      [`/tasks/${id}/edits/9/reversal`, {}, 404, /has no edit 9/],
      [`/tasks/${id}/edits/0/reversal`, {}, 422, /n must be/],
      ['/tasks/9999/edit', { graceMs: 1 }, 404, /does not exist/],
    ] as const) {
      const answer = await ask('POST', path, body)
      assert.equal(answer.status, status, answer.body)
      assert.match(sentenceIn(answer), words)
    }
    assert.equal((await findTask(db, id))!.edits, 4)
  })
}

test('a once-task is changed as long as it waits', async t => {
  const panel = await openPanel(t)
  const ask = askWith(panel, (await makeTestToken(panel, ['task:control'])).text)
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const limits = { timeoutMs: 90_000, maxAttempts: 3, priority: -7, rerunAfterCrash: false }
  assert.equal((await ask('POST', `/tasks/${id}/edit`, limits)).status, 200)
  const { timeoutMs, maxAttempts, priority, rerunAfterCrash } = (await findTask(panel.background.db, id))!
  assert.deepEqual({ timeoutMs, maxAttempts, priority, rerunAfterCrash }, limits)
  assert.equal((await ask('POST', `/tasks/${id}/edit`, { timeoutMs: null })).status, 200)
  await panel.background.cancelTask(id)
  const late = await ask('POST', `/tasks/${id}/edit`, { priority: 1 })
  assert.deepEqual([late.status, codeIn(late)], [409, 'busy'])
})

test('attack: params that a token may not add are not given to a task that is there, nor brought back', async t => {
  const panel = await openPanel(t)
  const { db } = panel.background
  const { id } = await panel.background.addTask('test/forever', { intervalMs: 100 }, 'FOREVER')
  const asker = async (...scopes: string[]) => askWith(panel, (await makeTestToken(panel, scopes)).text)
  const [only, other, able] = [
    await asker('task:control'),
    await asker('task:control', 'task:add:report/*'),
    await asker('task:control', 'task:add:test/forever'),
  ]
  for (const ask of [only, other]) {
    const refused = await ask('POST', `/tasks/${id}/edit`, { params: { intervalMs: 1 }, graceMs: 1 })
    assert.deepEqual([refused.status, codeIn(refused)], [403, 'scope-missing'])
    assert.match(sentenceIn(refused), /task:add:test\/forever/)
  }
  assert.equal((await able('POST', `/tasks/${id}/edit`, { params: { intervalMs: 300 } })).status, 200)
  assert.equal((await only('POST', `/tasks/${id}/edits/1/reversal`)).status, 403)
  assert.equal((await only('POST', `/tasks/${id}/edit`, { graceMs: 77 })).status, 200, 'limits alone take no more')
  assert.equal((await only('POST', `/tasks/${id}/edits/2/reversal`)).status, 200)
  assert.deepEqual([(await findTask(db, id))!.params, (await findTask(db, id))!.graceMs], [{ intervalMs: 300 }, 10_000])
  assert.equal((await (await asker('task:add:test/forever'))('POST', `/tasks/${id}/edit`, { graceMs: 1 })).status, 403)
  // What a command may be given stands in its file.
  const command = await panel.background.sendCommand('deploy', { environment: 'staging', revision: 'a1b2c3d' }, { delayMs: 3_600_000 })
  const withCommand = await asker('task:control', 'task:add:core/command', 'command:deploy')
  const refused = await withCommand('POST', `/tasks/${command.id}/edit`, { params: { name: 'deploy', args: {} } })
  assert.equal(refused.status, 422)
  assert.match(sentenceIn(refused), /is a command; it is not changed/)
})

const secret = 'not-for-programs-7'

test('what is hidden is sent back as it was told, and stays; elsewhere it stands for nothing', async t => {
  const panel = await openPanel(t)
  const { db } = panel.background
  const ask = askWith(panel, (await makeTestToken(panel, ['task:control', 'task:read', 'task:add:test/*'])).text)
  const stored = {
    ...{ rows: 1, password: secret, note: `uses ${secret} ok` },
    ...{ url: `https://u:${secret}@h/x`, headers: [{ name: 'Authorization', value: secret }] },
  }
  const { id } = await panel.background.addTask('test/ok', stored, { delayMs: 3_600_000 })
  const told = jsonOf<{ task: { params: { [key: string]: Json } } }>(await ask('GET', `/tasks/${id}`)).task.params
  assert.doesNotMatch(JSON.stringify(told), new RegExp(secret))
  const edit = await ask('POST', `/tasks/${id}/edit`, { params: { ...told, rows: 2 } })
  assert.deepEqual([edit.status, editIn(edit).changes.map(({ name }) => name)], [200, ['rows']])
  assert.deepEqual((await findTask(db, id))!.params, { ...stored, rows: 2 })
  for (const params of [
    { note: '[redacted]' },
    { password: 'x', token: '[redacted]' },
    { url: 'https://attacker.example/?x=[redacted]' },
    { ...told, headers: [{ name: 'Accept', value: '[redacted]' }] },
    { ...told, headers: [{ name: 'Accept', value: '[redacted 4]' }] },
    { note: told.url! },
    { ...told, url: 'https://u:[redacted]@attacker.example/x' },
    { ...told, webhook: 'https://attacker.example' },
    // Without the password, the text would show it.
    { ...told, password: 'other-value-11', url: '', headers: [] },
  ]) {
    const moved = await ask('POST', `/tasks/${id}/edit`, { params })
    assert.equal(moved.status, 422, JSON.stringify(params))
    assert.doesNotMatch(moved.body, new RegExp(secret))
  }
  assert.deepEqual((await findTask(db, id))!.params, { ...stored, rows: 2 })
  assert.equal((await findTask(db, id))!.edits, 1)
})

test('attack: a hidden value is not learnt by trying: the right guess is answered as a wrong one', async t => {
  const panel = await openPanel(t)
  const ask = askWith(panel, (await makeTestToken(panel, ['task:control', 'task:read', 'task:add:test/*'])).text)
  const said = async (guess: string) => {
    const { id } = await panel.background.addTask('test/ok', { password: secret }, { delayMs: 3_600_000 })
    const edit = await ask('POST', `/tasks/${id}/edit`, { params: { password: guess } })
    const back = await ask('POST', `/tasks/${id}/edits/1/reversal`)
    const list = await ask('GET', `/tasks/${id}/edits`)
    return [edit, back, list].map(({ status, body }) => [status, body.replace(/"at":\d+/g, '')])
  }
  const right = await said(secret)
  assert.deepEqual(right, await said('not-for-programs-8'))
  assert.deepEqual([right[0]![0], right[1]![0]], [200, 200])
  assert.doesNotMatch(JSON.stringify(right), /not-for-programs/)
})
