import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TaskOptions } from '../../app/api/check-options.ts'
import { makeTicket } from '../../app/runs/make-ticket.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { writeTicket } from '../../app/runs/ticket.ts'
import { listAudit } from '../../app/store/audit.ts'
import { findTask } from '../../app/store/find-task.ts'
import { listEdits } from '../../app/store/list-edits.ts'
import { runName } from '../../app/task/run.ts'
import { EXEC_TYPE_FOREVER, type Json, type Task } from '../../app/task/task.ts'
import { fieldsIn } from '../helpers/fields-in.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

const schema = `{ type: 'object', required: ['rows'], additionalProperties: false, properties: {
  rows: { type: 'integer', minimum: 1, maximum: 99 }, note: { type: 'string' }, on: { type: 'boolean' }, pace: { enum: ['slow', 'fast'] },
  password: { type: 'string' }, url: { type: 'string' } } }`

const actions = mkdtempSync(join(tmpdir(), 'bgtask-edited-'))
let panel: ListeningPanel
let operator: SignedIn
let other: SignedIn

before(async () => {
  mkdirSync(join(actions, 'my'))
  writeFileSync(join(actions, 'my/strict.ts'), `export const params = ${schema}\nexport const execute = () => 'done'\n`)
  writeFileSync(join(actions, 'my/free.ts'), `export const execute = () => 'done'\n`)
  writeFileSync(join(actions, 'my/broken.ts'), 'export const execute = () => {\n')
  panel = await listenPanel({ env: { BGTASK_ACTIONS: actions } })
  operator = await panel.signIn('operator')
  other = await panel.signIn('admin')
})
after(async () => {
  await panel.close()
  rmSync(actions, { recursive: true, force: true })
})

const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))
const task = async (id: number) => (await findTask(panel.background.db, id))!
const loop = (params: Json, action = 'my/strict') => panel.background.addTask(action, params, EXEC_TYPE_FOREVER)
const formOf = async (id: number, query = '', as = operator) =>
  mainOf((await panel.ask({ url: `/admin/core/bgtask/${id}/edit${query}`, as })).body)
const pageOf = async (id: number, as = operator) => mainOf((await panel.ask({ url: `/admin/core/bgtask/${id}`, as })).body)

/** What the form has in it, as a browser would send it back, but for what is given. */
const send = async (id: number, given: Record<string, string | null>, { as = operator, query = '', form = '' } = {}) => {
  const fields = { ...fieldsIn(form || (await formOf(id, query, as))), ...given }
  const body = Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== null))
  return panel.ask({ method: 'POST', url: `/admin/core/bgtask/${id}/edit`, as, body })
}

test('params and grace of a loop are changed by a form; the page tells who changed what from what to what, and the audit who did', async () => {
  const { id, wish } = await loop({ rows: 10, note: 'a <b>' })
  const form = await formOf(id)
  assert.match(form, /type="number" name="params\.rows" value="10" step="1" min="1" max="99"/)
  assert.match(form, /name="effect" value="restart" checked/)
  assert.doesNotMatch(form, /name="(timeout_s|max_attempts|priority|rerun)"/, 'a loop has none of these')
  const answer = await send(id, { 'params.rows': '20', grace_s: '2.5' })
  assert.equal(answer.status, 303)
  const changed = await task(id)
  assert.deepEqual([changed.params, changed.graceMs, changed.wish, changed.edits], [{ rows: 20, note: 'a <b>' }, 2_500, wish + 1, 1])
  const page = await pageOf(id)
  assert.match(page, /Saved\. Task \d+ gets a fresh process/)
  assert.match(page, /<strong>operator<\/strong> <time/)
  assert.match(page, /<code>rows<\/code> <span class="value">10<\/span>[\s\S]*?becomes[\s\S]*?<span class="value">20<\/span>/)
  assert.match(page, /Grace<\/span> <span class="value">10 s<\/span>[\s\S]*?<span class="value">2\.5 s<\/span>/)
  const [row] = await listAudit(panel.background.db, { limit: 1, act: 'task-edit' })
  assert.deepEqual(
    [row?.subject, row?.userName, row?.via, row?.detail],
    [String(id), 'operator', 'form', 'my/strict: params.rows, graceMs'],
  )
})

test('what is left as it was drawn stays what it is: nothing there is no empty text, no false and no default', async () => {
  const { id } = await loop({ rows: 10, note: '' })
  assert.equal((await send(id, { 'params.rows': '11', effect: 'next' })).status, 303)
  const { params, wish } = await task(id)
  assert.deepEqual([params, wish], [{ rows: 11, note: '' }, 0])
  assert.equal((await send(id, { 'params.on': 'on', 'params.pace': '"fast"', 'params.note': null, effect: 'next' })).status, 303)
  assert.deepEqual((await task(id)).params, { rows: 11, note: '', on: true, pace: 'fast' })
  assert.equal((await send(id, { 'params.on': null, 'params.pace': '' })).status, 303)
  assert.deepEqual((await task(id)).params, { rows: 11, note: '', on: false })
})

test('what does not fit is said as of a new task, above the form that keeps what was given; nothing is stored', async () => {
  const loopId = (await loop({ rows: 10 })).id
  const onceId = (await panel.background.addTask('my/strict', { rows: 5 }, { delayMs: 3_600_000 })).id
  for (const [id, given, words] of [
    [loopId, { 'params.rows': '700' }, /The params do not fit my\/strict: rows must be &lt;= 99, but is 700\./],
    [loopId, { 'params.rows': 'many' }, /rows is .*many.*; it must be a number/],
    [loopId, { grace_s: '99999' }, /Grace in seconds is .*99999.*; allowed are numbers from 0 to 3600\./],
    [loopId, { grace_s: 'long' }, /Grace in seconds is .*long.*; allowed are numbers/],
    [loopId, {}, /Nothing of this differs from what task/],
    [onceId, { priority: '9999' }, /Priority is &quot;9999&quot;/],
    [onceId, { timeout_s: '0' }, /Time limit in seconds is &quot;0&quot;/],
    [onceId, { max_attempts: '0' }, /Tries is &quot;0&quot;/],
  ] as [number, Record<string, string>, RegExp][]) {
    const { status, body } = await send(id, given)
    assert.equal(status, 422, JSON.stringify(given))
    assert.match(mainOf(body), words)
    for (const value of Object.values(given)) assert.ok(mainOf(body).includes(`value="${value}"`), value)
  }
  for (const id of [loopId, onceId]) assert.equal((await task(id)).edits, 0)
})

test('params are written as JSON by choice, and where a form would lose what its schema does not name', async () => {
  const { id } = await loop({ rows: 10 })
  assert.match(await formOf(id, '?as=json'), /<textarea name="params"[^>]*>\{\n {2}&quot;rows&quot;: 10\n\}/)
  assert.equal((await send(id, { params: '{"rows": 12, "pace": "slow"}' }, { query: '?as=json' })).status, 303)
  assert.deepEqual((await task(id)).params, { rows: 12, pace: 'slow' })
  const wrong = await send(id, { params: '{"rows": 12' }, { query: '?as=json' })
  assert.equal(wrong.status, 422)
  assert.match(mainOf(wrong.body), /params is no JSON/)
  panel.sql('UPDATE bg_task SET params = ? WHERE id = ?', '{"rows":12,"more":{"deep":1}}', id)
  assert.match(await formOf(id), /more&quot;: \{[\s\S]*so they are written as JSON/)
  const free = await loop({ any: ['thing'] }, 'my/free')
  assert.equal((await send(free.id, { params: '["other"]' })).status, 303)
  assert.deepEqual((await task(free.id)).params, ['other'])
})

test('a once-task is changed as long as it waits; a command, one that has begun, and one whose file does not load are not', async () => {
  const waits = await panel.background.addTask('my/strict', { rows: 5 }, { delayMs: 3_600_000, maxAttempts: 3 })
  assert.equal((await send(waits.id, { 'params.rows': '6', timeout_s: '90', max_attempts: '2', priority: '-7', rerun: null })).status, 303)
  const { params, timeoutMs, maxAttempts, priority, rerunAfterCrash, state } = await task(waits.id)
  assert.deepEqual([params, timeoutMs, maxAttempts, priority, rerunAfterCrash, state], [{ rows: 6 }, 90_000, 2, -7, false, 'waiting'])
  const form = await formOf(waits.id)
  panel.sql("UPDATE bg_task SET state = 'running', due = NULL WHERE id = ?", waits.id)
  const begun = await send(waits.id, { 'params.rows': '7' }, { form })
  assert.equal(begun.status, 303)
  assert.match(await pageOf(waits.id), /is running; params and limits can be changed of a loop, and of a once-task as long as it waits/)
  assert.doesNotMatch(await pageOf(waits.id), new RegExp(`/${waits.id}/edit"`))
  const broken = await loop({ rows: 1 })
  panel.sql("UPDATE bg_task SET action = 'my/broken' WHERE id = ?", broken.id)
  await panel.ask({ url: `/admin/core/bgtask/${broken.id}/edit`, as: operator })
  assert.match(await pageOf(broken.id), /The action my\/broken cannot be run/)
  const command = await panel.background.addTask('my/free', {}, { delayMs: 3_600_000 })
  panel.sql("UPDATE bg_task SET action = 'core/command', params = ? WHERE id = ?", '{"name":"deploy","args":{}}', command.id)
  const refused = await panel.ask({
    method: 'POST',
    url: `/admin/core/bgtask/${command.id}/edit`,
    as: operator,
    body: { seen: '0.0', params: '{"name":"other","args":{}}' },
  })
  assert.equal(refused.status, 303)
  assert.match(await pageOf(command.id), /is a command; it is not changed/)
  assert.deepEqual((await task(command.id)).params, { name: 'deploy', args: {} })
  assert.equal((await panel.ask({ url: '/admin/core/bgtask/999999/edit', as: operator })).status, 404)
})

test('of two who open the form, the second is told what the first has changed, keeps what was typed, and may save again', async () => {
  const { id } = await loop({ rows: 10, note: 'first', password: 'hidden-pass-1' })
  const [mine, theirs] = [await formOf(id), await formOf(id, '', other)]
  assert.equal((await send(id, { 'params.rows': '20', 'params.password': 'hidden-pass-2' }, { as: other, form: theirs })).status, 303)
  const late = await send(id, { 'params.rows': '30', 'params.note': 'mine' }, { form: mine })
  assert.equal(late.status, 409)
  const page = mainOf(late.body)
  assert.match(page, /Somebody else changed task \d+ meanwhile, so nothing was stored/)
  assert.match(page, /admin changed it <time/)
  assert.match(page, /<code>rows<\/code> <span class="value">20<\/span>[\s\S]*?<span class="value">30<\/span>/)
  assert.match(page, /<code>note<\/code> <span class="value">&quot;first&quot;<\/span>[\s\S]*?&quot;mine&quot;/)
  assert.doesNotMatch(page, /hidden-pass/)
  assert.deepEqual((await task(id)).params, { rows: 20, note: 'first', password: 'hidden-pass-2' })
  assert.equal((await send(id, {}, { form: page })).status, 303)
  assert.deepEqual((await task(id)).params, { rows: 30, note: 'mine', password: 'hidden-pass-2' }, 'what was left hidden is what it is now')
})

test('a once-task that has begun has no place for changes, unless there were some', async () => {
  const begin = (id: number) => panel.sql("UPDATE bg_task SET state = 'running', due = NULL WHERE id = ?", id)
  const [never, once] = [await panel.background.addTask('my/free'), await panel.background.addTask('my/free')]
  await send(once.id, { params: '{"n": 1}' })
  for (const { id } of [never, once]) {
    assert.match(await pageOf(id), /Changes to params and limits/)
    begin(id)
  }
  assert.match(await pageOf(never.id), /<section id="task-edits" hidden>/)
  assert.match(await pageOf(once.id), /Changes to params and limits[\s\S]*<code>n<\/code>/)
})

test('a newer call with keepLast is told as such', async () => {
  const options = { unique: 'the last', onConflict: 'keepLast', delayMs: 3_600_000 } satisfies TaskOptions
  const { id } = await panel.background.addTask('my/free', { n: 1 }, options)
  const form = await formOf(id)
  await panel.background.addTask('my/free', { n: 2 }, options)
  const late = await send(id, { params: '{"n": 3}' }, { form })
  assert.equal(late.status, 409)
  assert.match(
    mainOf(late.body),
    /A newer call with its unique key overwrote it[\s\S]*<span class="value">2<\/span>[\s\S]*<span class="value">3<\/span>/,
  )
})

const reversal = (id: number, n: number, { seen, effect, as = operator }: { seen: string; effect?: string; as?: SignedIn }) =>
  panel.ask({ method: 'POST', url: `/admin/core/bgtask/${id}/edits/${n}/reversal?seen=${seen}`, as, body: effect ? { effect } : {} })

test('a change is reverted: what was before it comes back, as a change of its own, and that can be reverted too', async () => {
  const { id } = await loop({ rows: 10 })
  await send(id, { 'params.rows': '20', effect: 'next' })
  await send(id, { 'params.note': 'x', grace_s: '3', effect: 'next' })
  const page = await pageOf(id)
  const ofFirst = page.slice(page.indexOf('id="ask-revert-1"'))
  assert.match(
    ofFirst,
    /comes back, also where it was changed again since:[\s\S]*?rows[\s\S]*?20[\s\S]*?10[\s\S]*?note[\s\S]*?not there[\s\S]*?Grace[\s\S]*?3 s[\s\S]*?10 s/,
  )
  assert.equal((await reversal(id, 1, { seen: '2.0', effect: 'restart' })).status, 303)
  const back = await task(id)
  assert.deepEqual([back.params, back.graceMs, back.edits, back.wish], [{ rows: 10 }, 10_000, 3, 1])
  const after = await pageOf(id)
  assert.match(after, /Reverted\. Task \d+ gets a fresh process/)
  assert.match(after, /Brought back what was there before change 1\./)
  assert.doesNotMatch(after, /id="ask-revert-1"/, 'it is so already')
  assert.equal((await reversal(id, 3, { seen: '3.0' })).status, 303)
  assert.deepEqual((await task(id)).params, { rows: 20, note: 'x' })
  const acts = await listAudit(panel.background.db, { limit: 5, subject: String(id) })
  assert.deepEqual(
    acts.map(({ act }) => act).filter(act => act !== 'task-added'),
    ['task-reversal', 'task-reversal', 'task-edit', 'task-edit'],
  )
})

test('a reversal does what was shown or nothing, and is held against the schema as it is now', async () => {
  const { id } = await loop({ rows: 10 })
  await send(id, { 'params.rows': '20' })
  assert.equal((await reversal(id, 1, { seen: '0.0' })).status, 303)
  assert.match(await pageOf(id), /Somebody else changed task/)
  assert.deepEqual((await task(id)).params, { rows: 20 })
  panel.sql(
    'UPDATE bg_edit SET before_terms = ? WHERE task_id = ?',
    JSON.stringify({ params: { rows: 500 }, graceMs: 1_000, timeoutMs: null, priority: 0, maxAttempts: 1, rerunAfterCrash: true }),
    id,
  )
  assert.equal((await reversal(id, 1, { seen: '1.0' })).status, 303)
  assert.match(await pageOf(id), /The params do not fit my\/strict: rows must be/)
  assert.equal((await reversal(id, 7, { seen: '1.0' })).status, 404)
  assert.equal((await reversal(id, 0, { seen: '1.0' })).status, 404)
  assert.equal((await task(id)).edits, 1)
})

const secret = 'not-for-operators-7'

test('hidden values keep working: left as they are they stay, they are on no page, and a new one is not told either', async () => {
  const stored = { rows: 1, password: secret, url: `https://u:${secret}@h/x` }
  const { id } = await loop(stored)
  const form = await formOf(id)
  assert.doesNotMatch(form, new RegExp(secret))
  assert.equal((await send(id, { 'params.rows': '2' })).status, 303)
  assert.deepEqual((await task(id)).params, { ...stored, rows: 2 })
  assert.equal((await send(id, { 'params.password': 'another-secret-8' })).status, 303)
  assert.deepEqual((await task(id)).params, { ...stored, rows: 2, password: 'another-secret-8' })
  for (const as of [operator, other, await panel.signIn('viewer')]) {
    const page = await pageOf(id, as)
    assert.match(page, /<code>password<\/code> <span class="dim">hidden, given anew/)
    assert.doesNotMatch(page, /not-for-operators|another-secret/)
  }
  const detail = panel.sql('SELECT detail, act FROM bg_audit WHERE subject = ?', String(id))
  assert.doesNotMatch(JSON.stringify(detail), /not-for-operators|another-secret/)
  assert.equal((await reversal(id, 2, { seen: '2.0' })).status, 303)
  assert.deepEqual((await task(id)).params, { ...stored, rows: 2 })
  assert.doesNotMatch(await pageOf(id), /not-for-operators|another-secret/)
})

test('attack: a hidden value is moved to where it would be shown, or to another hidden place', async () => {
  for (const [stored, given] of [
    [{ headers: [{ name: 'Authorization', value: secret }] }, { headers: [{ name: 'Accept', value: '[redacted 1]' }] }],
    [{ url: `https://u:${secret}@h/x` }, { url: '[redacted 1]' }],
    [{ url: `https://u:${secret}@h/x` }, { url: 'https://attacker.example/?x=[redacted 1]' }],
    [
      { password: secret, token: 'x' },
      { password: 'x', token: '[redacted 1]' },
    ],
    [{ password: secret }, { note: '[redacted 1]' }],
  ] satisfies [Json, Json][]) {
    const { id } = await loop(stored, 'my/free')
    const { status, body } = await send(id, { params: JSON.stringify(given) })
    assert.equal(status, 422, JSON.stringify(given))
    assert.match(body, /only where it is hidden again/)
    assert.deepEqual([(await task(id)).params, (await task(id)).edits], [stored, 0])
  }
})

test('attack: a hidden value is left where it is, and what it is sent to is not; nor is it taken for the text that stands for it', async () => {
  const stored = { url: 'https://hooks.example/a', token: secret, note: `uses ${secret} ok` }
  for (const [given, sentence] of [
    [
      { url: 'https://attacker.example/a', token: '[redacted 1]' },
      /params\.url names https:\/\/attacker\.example, which was not there before/,
    ],
    [{ url: stored.url, token: '[redacted 1]', note: 'uses [redacted] ok' }, /have \[redacted\] in them/],
  ] as [Json, RegExp][]) {
    const { id } = await loop(stored, 'my/free')
    const { status, body } = await send(id, { params: JSON.stringify(given) })
    assert.equal(status, 422, JSON.stringify(given))
    assert.match(body, sentence)
    assert.doesNotMatch(body, new RegExp(secret))
    assert.deepEqual([(await task(id)).params, (await task(id)).edits], [stored, 0])
  }
})

test('attack: a hidden value is not learnt by trying: the right guess looks like any other, on every page that tells of it', async () => {
  const shown = async (guess: string) => {
    const { id } = await loop({ rows: 1, password: secret })
    const { status } = await send(id, { 'params.password': guess })
    const page = await pageOf(id)
    const history = page.slice(page.indexOf('id="task-edits"'))
    return { status, seen: history.replace(new RegExp(`\\b${id}\\b`, 'g'), 'ID').replace(/<time[\s\S]*?<\/time>/g, ''), id }
  }
  const [right, wrong] = [await shown(secret), await shown('not-for-operators-8')]
  assert.deepEqual([right.status, right.seen], [wrong.status, wrong.seen])
  assert.match(right.seen, /password[\s\S]*hidden, given anew/)
  // Back again, which would show a difference for the wrong one only.
  for (const { id } of [right, wrong]) assert.equal((await reversal(id, 1, { seen: '1.0' })).status, 303)
  const [first, second] = [await pageOf(right.id), await pageOf(wrong.id)]
  const plain = (page: string, id: number) =>
    page
      .slice(page.indexOf('id="task-edits"'))
      .replace(new RegExp(`\\b${id}\\b`, 'g'), 'ID')
      .replace(/<time[\s\S]*?<\/time>/g, '')
  assert.equal(plain(first, right.id), plain(second, wrong.id))
  assert.deepEqual((await task(wrong.id)).params, { rows: 1, password: secret })
})

test('what a run printed under an earlier secret stays hidden after the secret was changed', async () => {
  const added = await loop({ rows: 1, password: secret })
  panel.sql('UPDATE bg_task SET number = 1 WHERE id = ?', added.id)
  panel.sql(
    "INSERT INTO bg_run (task_id, number, host, epoch, started_at, ended_at, outcome) VALUES (?, 1, 'h', 'e', 1, 2, 'succeeded')",
    added.id,
  )
  const run = (await task(added.id)) satisfies Task
  const paths = runtimePaths(panel.runtime).run(runName(added.id, 1))
  mkdirSync(paths.folder, { recursive: true })
  writeTicket(
    paths.folder,
    makeTicket(
      run,
      { file: join(panel.runtime, 'x.ts'), exportName: 'execute', stallMs: null, stallRestart: false },
      { number: 1, host: 'h', epoch: 'e', marked: false },
    ),
  )
  writeFileSync(paths.output, `logged in with ${secret}.\n`)
  writeFileSync(paths.outcome, JSON.stringify({ kind: 'succeeded' }))
  const download = async () => (await panel.ask({ url: `/admin/core/bgtask/${added.id}/output?run=1`, as: operator })).body
  assert.equal(await download(), 'logged in with [redacted].\n')
  await send(added.id, { 'params.password': 'a-fresh-secret-9' })
  assert.equal(await download(), 'logged in with [redacted].\n')
  assert.doesNotMatch(await pageOf(added.id), new RegExp(secret))
  const lines = mainOf((await panel.ask({ url: `/admin/core/bgtask/${added.id}/lines?run=1`, as: operator })).body)
  assert.match(lines, /logged in with \[redacted\]/)
  assert.doesNotMatch(lines, new RegExp(secret))
})

test('a viewer sees who changed what, and no buttons', async () => {
  const { id } = await loop({ rows: 10 })
  await send(id, { 'params.rows': '20' })
  const page = await pageOf(id, await panel.signIn('viewer'))
  assert.match(page, /<strong>operator<\/strong>/)
  assert.doesNotMatch(page, /\/edit"|ask-revert|reversal/)
})

test('older changes are a page away, and their reversal still counts what came after', async () => {
  const { id } = await loop({ rows: 1, password: secret })
  for (let rows = 2; rows <= 13; rows++) await send(id, { 'params.rows': String(rows), effect: 'next' })
  const page = await pageOf(id)
  assert.match(page, new RegExp(`/${id}\\?edits=3#edits-title`))
  assert.doesNotMatch(page, /id="edit-2"/)
  const older = mainOf((await panel.ask({ url: `/admin/core/bgtask/${id}?edits=3`, as: operator })).body)
  assert.match(older, /id="edit-2"/)
  assert.match(older.slice(older.indexOf('id="ask-revert-1"')), /<span class="value">13<\/span>[\s\S]*?<span class="value">1<\/span>/)
  assert.equal((await listEdits(panel.background.db, id, { limit: 99 })).length, 12)
})
