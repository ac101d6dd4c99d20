import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TaskOptions } from '../../app/api/check-options.ts'
import { findSchedule } from '../../app/store/find-schedule.ts'
import { findTask } from '../../app/store/find-task.ts'
import type { Json } from '../../app/task/task.ts'
import { fieldsIn } from '../helpers/fields-in.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

// A schema lets through what it does not name, unless it says otherwise.
const files = {
  'my/open.ts': `export const params = { type: 'object', required: ['rows'], properties: {
    rows: { type: 'integer', maximum: 99 }, note: { type: 'string' }, on: { type: 'boolean' }, pace: { enum: ['slow', 'fast'] }, password: { type: 'string' } } }
export const execute = () => 'done'\n`,
  'my/empty.ts': `export const params = { type: 'object' }\nexport const execute = () => 'done'\n`,
  'my/free.ts': `export const execute = () => 'done'\n`,
}
const secret = 'not-for-operators-7'

const actions = mkdtempSync(join(tmpdir(), 'bgtask-kept-'))
let panel: ListeningPanel
let operator: SignedIn

before(async () => {
  mkdirSync(join(actions, 'my'))
  for (const [file, source] of Object.entries(files)) writeFileSync(join(actions, file), source)
  panel = await listenPanel({ env: { BGTASK_ACTIONS: actions } })
  operator = await panel.signIn('operator')
})
after(async () => {
  await panel.close()
  rmSync(actions, { recursive: true, force: true })
})

const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))
const formAt = async (url: string) => mainOf((await panel.ask({ url, as: operator })).body)
const add = (action: string, params: Json, options: TaskOptions = { delayMs: 3_600_000 }) =>
  panel.background.addTask(action, params, options)
const formLike = (id: number) => formAt(`/admin/core/bgtask/new?like=${id}`)

/** The form of *Clone with changes*, sent as it came but for what is given. */
const clone = async (id: number, given: Record<string, string> = {}) =>
  panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: operator, body: { ...fieldsIn(await formLike(id)), ...given } })
const cloned = async (id: number, given: Record<string, string> = {}) => {
  const { status, headers, body } = await clone(id, given)
  assert.equal(status, 303, mainOf(body))
  return (await findTask(panel.background.db, Number(/\/(\d+)$/.exec(headers.location!)![1])))!
}

for (const [action, stored] of [
  ['my/open', { rows: 10, more: { deep: [1, { password: secret }] } }],
  ['my/open', { rows: 10, password: secret, url: `https://u:${secret}@h/x`, headers: [{ name: 'Authorization', value: secret }] }],
  ['my/empty', { any: 'thing', password: secret }],
  ['my/free', { any: 'thing', password: secret }],
  ['my/free', ['a', 'list']],
] satisfies [string, Json][])
  test(`cloned with changes, a task of ${action} keeps what no field of the form shows: ${Object.keys(stored)}`, async () => {
    for (const options of [{ delayMs: 3_600_000 }, { execType: 'FOREVER' }] satisfies TaskOptions[]) {
      const { id } = await add(action, stored, options)
      const form = await formLike(id)
      assert.doesNotMatch(form, new RegExp(secret))
      for (const key of Object.keys(stored)) assert.ok(Array.isArray(stored) || form.includes(key), `${key} is shown`)
      assert.equal(form.includes('so they are written as JSON'), action !== 'my/free')
      assert.deepEqual((await cloned(id)).params, stored)
    }
  })

test('what is changed in that JSON is changed, what is taken out of it is gone, and the rest is kept', async () => {
  const { id } = await add('my/open', { rows: 10, more: 1, password: secret })
  const given = JSON.parse(fieldsIn(await formLike(id)).params!)
  assert.deepEqual(given, { rows: 10, more: 1, password: '[redacted 1]' })
  assert.deepEqual((await cloned(id, { params: JSON.stringify({ ...given, rows: 11 }) })).params, { rows: 11, more: 1, password: secret })
  assert.deepEqual((await cloned(id, { params: JSON.stringify({ rows: 12, other: 2 }) })).params, { rows: 12, other: 2 })
  const refused = await clone(id, { params: JSON.stringify({ ...given, rows: 700 }) })
  assert.equal(refused.status, 422)
  const again = mainOf(refused.body)
  assert.match(again, /rows must be &lt;= 99, but is 700/)
  assert.deepEqual(JSON.parse(fieldsIn(again).params!), { ...given, rows: 700 }, 'it comes back as it was sent')
  const mended = { ...fieldsIn(again), params: JSON.stringify({ ...given, rows: 13 }) }
  assert.equal((await panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: operator, body: mended })).status, 303)
})

test('where fields show all of it there are fields, and what was left as it was drawn stays so: nothing there is no false and no empty text', async () => {
  const all: { [key: string]: Json }[] = [
    { rows: 10 },
    { rows: 10, note: '', on: false },
    { rows: 10, on: true, pace: 'fast', password: secret },
  ]
  for (const stored of all) {
    const { id } = await add('my/open', stored)
    assert.match(await formLike(id), /type="number" name="params\.rows"/)
    assert.deepEqual((await cloned(id)).params, stored)
    assert.deepEqual((await cloned(id, { 'params.rows': '20' })).params, { ...stored, rows: 20 })
  }
})

test('attack: a hidden value that no field shows is moved to where it would be shown', async () => {
  const { id } = await add('my/open', { rows: 1, headers: [{ name: 'Authorization', value: secret }] })
  const count = () => panel.sql('SELECT COUNT(*) AS n FROM bg_task')[0]!.n
  const before = count()
  for (const params of [
    { rows: 1, headers: [{ name: 'Accept', value: '[redacted 1]' }] },
    { rows: 1, note: '[redacted 1]' },
  ]) {
    const { status, body } = await clone(id, { params: JSON.stringify(params) })
    assert.equal(status, 422)
    assert.match(body, /only where it is hidden again/)
    assert.doesNotMatch(body, new RegExp(secret))
  }
  assert.equal(count(), before)
})

test('that a run which died is not run again is kept too, and can be chosen', async () => {
  const { id } = await add('my/open', { rows: 1 }, { delayMs: 3_600_000, rerunAfterCrash: false })
  assert.match(await formLike(id), /<details class="more" open>[\s\S]*name="rerun" value="on">/)
  assert.equal((await cloned(id)).rerunAfterCrash, false)
  const other = await add('my/open', { rows: 1 })
  assert.equal((await cloned(other.id)).rerunAfterCrash, true)
  const { rerun: _, ...fields } = fieldsIn(await formAt('/admin/core/bgtask/new?action=my/open'))
  const asked = await panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: operator, body: { ...fields, 'params.rows': '1' } })
  assert.equal(asked.status, 303)
  assert.equal((await findTask(panel.background.db, Number(/\/(\d+)$/.exec(asked.headers.location!)![1])))!.rerunAfterCrash, false)
})

test('a schedule that is changed keeps what no field of its form shows, and that its runs are not run again', async () => {
  const stored = { rows: 10, more: { deep: 1 }, password: secret }
  const { id } = await panel.background.addSchedule('nightly', {
    ...{ cron: '0 4 * * *', action: 'my/open', params: stored },
    rerunAfterCrash: false,
  })
  const url = `/admin/config/schedules/${id}`
  const send = async (given: Record<string, string>, to = url) =>
    panel.ask({ method: 'POST', url: to, as: operator, body: { ...fieldsIn(await formAt(url)), ...given } })
  const form = await formAt(url)
  assert.match(form, /more&quot;: \{/)
  assert.doesNotMatch(form, new RegExp(secret))
  assert.match(mainOf((await send({ cron: '0 5 * * *' }, '/admin/config/schedules/preview')).body), /more&quot;: \{/)
  assert.equal((await send({ cron: '0 5 * * *' })).status, 303)
  const { rule, params, options } = (await findSchedule(panel.background.db, { id }))!
  assert.deepEqual([rule, params, options.rerunAfterCrash], [{ cron: '0 5 * * *', timeZone: 'UTC' }, stored, false])
})
