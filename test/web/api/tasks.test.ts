import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { runtimePaths } from '../../../app/runs/runtime-folder.ts'
import { listAudit } from '../../../app/store/audit.ts'
import { EXEC_TYPE_FOREVER } from '../../../app/task/task.ts'
import { type ListeningPanel, listenPanel } from '../../helpers/listening-panel.ts'
import { askWith, codeIn, jsonOf, makeTestToken, sentenceIn } from './ask-with.ts'

let panel: ListeningPanel
before(async () => {
  panel = await listenPanel()
})
after(() => panel.close())

interface Page {
  tasks: { id: number; uniqueKey: string | null; params: unknown }[]
  newer: string | null
  older: string | null
}

test('the list: newest first, by cursor in both directions, by every filter', async () => {
  const { text } = await makeTestToken(panel, ['task:read'])
  const ask = askWith(panel, text)
  const list = async (query: string) => jsonOf<Page>(await ask('GET', `/tasks?${query}`))
  const ids = (page: Page) => page.tasks.map(({ id }) => id)
  const added = await panel.background.addTasks(
    Array.from({ length: 5 }, (_, n) => ({
      action: 'test/ok',
      params: { n },
      options: { type: 'listed', creator: n % 2 ? 'kim' : 'lee' },
    })),
  )
  const [a, b, c, d, e] = added.map(({ id }) => id)
  const first = await list('type=listed&limit=2')
  assert.deepEqual([ids(first), first.newer], [[e, d], null])
  const second = await list(`type=listed&limit=2&after=${first.older}`)
  assert.deepEqual(ids(second), [c, b])
  const third = await list(`type=listed&limit=2&after=${second.older}`)
  assert.deepEqual([ids(third), third.older], [[a], null])
  assert.deepEqual(ids(await list(`type=listed&limit=2&before=${third.newer}`)), [c, b])
  assert.deepEqual(ids(await list('type=listed&creator=kim')), [d, b])
  const loop = await panel.background.addTask('test/forever', {}, { execType: EXEC_TYPE_FOREVER, type: 'listed' })
  assert.deepEqual(ids(await list('type=listed&execType=FOREVER')), [loop.id])
  assert.deepEqual(ids(await list('type=listed&state=stopped,running')), [loop.id])
  assert.deepEqual(ids(await list('type=listed&state=stopped&state=waiting&limit=1')), [loop.id])
  assert.deepEqual(ids(await list('action=test/forever')), [loop.id])
  const held = await panel.background.addTask('test/ok', { password: 'hush hush' }, { unique: 'a key', delayMs: 60_000 })
  const holder = await list('unique=a%20key')
  assert.deepEqual([ids(holder), holder.older, holder.newer], [[held.id], null, null])
  assert.ok(!JSON.stringify(holder).includes('hush hush'), 'secrets are hidden here as well')
  assert.deepEqual(ids(await list('unique=a%20key&action=test/fails')), [])
  assert.deepEqual(ids(await list('unique=another')), [])
})

test('runs by page; output by run, tail and offset, without its secrets', async () => {
  const { text } = await makeTestToken(panel, ['task:read'])
  const ask = askWith(panel, text)
  const { id, uid } = await panel.background.addTask('test/ok', { apiKey: 'k-5f2b9a71c' })
  assert.match(sentenceIn(await ask('GET', `/tasks/${id}/output`)), /has not run yet/)
  panel.sql('UPDATE bg_task SET number = 3 WHERE id = ?', id)
  for (const number of [1, 2, 3])
    panel.sql('INSERT INTO bg_run (task_id, number, host, epoch, started_at) VALUES (?, ?, ?, ?, ?)', id, number, 'another', 'e', number)
  const runs = async (query: string) =>
    jsonOf<{ runs: { number: number }[]; older: number | null }>(await ask('GET', `/tasks/${uid}/runs?${query}`))
  const newest = await runs('limit=2')
  assert.deepEqual([newest.runs.map(({ number }) => number), newest.older], [[3, 2], 2])
  const oldest = await runs('limit=2&before=2')
  assert.deepEqual([oldest.runs.map(({ number }) => number), oldest.older], [[1], null])

  const paths = runtimePaths(panel.runtime).run(`${id}-3`)
  mkdirSync(paths.folder, { recursive: true })
  writeFileSync(paths.output, 'first\nsecond k-5f2b9a71c\nthird\n')
  const read = await ask('GET', `/tasks/${id}/output`)
  assert.deepEqual([read.status, read.headers['content-type'], read.headers['bgtask-run']], [200, 'text/plain; charset=utf-8', '3'])
  assert.match(read.body, /^first\nsecond (?!k-5f).*\nthird\n/)
  assert.equal((await ask('GET', `/tasks/${id}/output?tail=1`)).body, 'third\n')
  assert.match((await ask('GET', `/tasks/${id}/output?tail=2`)).body, /^second .*\nthird\n$/)
  const to = Number(read.headers['bgtask-output-to'])
  assert.equal(read.headers['bgtask-run-ended'], 'true', 'no process of it lives')
  appendFileSync(paths.output, 'fourth\n')
  const more = await ask('GET', `/tasks/${id}/output?offset=${to}`)
  assert.equal(more.body, `${'first\nsecond k-5f2b9a71c\nthird\nfourth\n'.slice(to)}`)
  assert.equal(more.headers['bgtask-output-from'], String(to))
  assert.match(sentenceIn(await ask('GET', `/tasks/${id}/output?run=2`)), /lies on another host \(another\)/)
  assert.match(sentenceIn(await ask('GET', `/tasks/${id}/output?run=9`)), /has no run 9/)
  assert.match(sentenceIn(await ask('GET', `/tasks/${id}/output?offset=1&tail=1`)), /Both offset and tail/)
})

test('cancelling by key: the one that holds it, told in the audit; nobody holds it: 404', async () => {
  const { text, id: token } = await makeTestToken(panel, ['task:control'], 'school')
  const ask = askWith(panel, text)
  const { id } = await panel.background.addTask('test/ok', {}, { unique: 'teacher:17', delayMs: 60_000 })
  const cancelled = await ask('POST', '/tasks/cancellation', { unique: 'teacher:17' })
  assert.deepEqual([cancelled.status, jsonOf<{ task: { id: number; state: string } }>(cancelled).task.state], [200, 'cancelled'])
  const [row] = await listAudit(panel.background.db, { limit: 1, act: 'task-cancellation' })
  assert.deepEqual([row?.subject, row?.userName], [String(id), `school (token ${token})`])
  const again = await ask('POST', '/tasks/cancellation', { unique: 'teacher:17' })
  assert.deepEqual([again.status, codeIn(again)], [404, 'not-found'])
  for (const [body, words] of [
    [{}, /unique is missing/],
    [{ unique: 7 }, /unique must be a text, but is 7/],
    [{ unique: 'a', force: true }, /force is not known; allowed are unique/],
    [[], /it must be an object/],
    ['', /unique is missing/],
  ] as const) {
    const answer = await ask('POST', '/tasks/cancellation', body)
    assert.equal(answer.status, 422, answer.body)
    assert.match(sentenceIn(answer), words)
  }
})

test('what actions of our own do has a scope of its own: adding them by name is no way round it', async () => {
  const wide = (await makeTestToken(panel, ['task:add:core/*', 'task:add:core/recover', 'task:add:core/cron'])).text
  const discard = { action: 'core/recover', params: { do: 'discard', filter: {}, failedBefore: 8_000_000_000_000 } }
  const before = panel.sql('SELECT COUNT(*) AS n FROM bg_task')[0]!.n
  for (const [wish, scope] of [
    [discard, 'task:control'],
    [{ action: 'core/cron' }, 'cron:run'],
  ] as const) {
    for (const body of [wish, [wish]]) {
      const answer = await askWith(panel, wide)('POST', '/tasks', body)
      assert.deepEqual([answer.status, codeIn(answer)], [403, 'scope-missing'])
      assert.match(sentenceIn(answer), new RegExp(`scope ${scope}\\.`))
    }
    const lines = await askWith(panel, wide)('POST', '/tasks', `${JSON.stringify(wish)}\n`, { 'content-type': 'application/x-ndjson' })
    assert.match(lines.body, new RegExp(`"scope-missing".*scope ${scope}\\.`))
  }
  assert.equal(panel.sql('SELECT COUNT(*) AS n FROM bg_task')[0]!.n, before)
  const both = (await makeTestToken(panel, ['task:add:core/*', 'cron:run', 'task:control'])).text
  assert.equal((await askWith(panel, both)('POST', '/tasks', discard)).status, 201)
  assert.equal((await askWith(panel, both)('POST', '/tasks', { action: 'core/cron' })).status, 201)
})
