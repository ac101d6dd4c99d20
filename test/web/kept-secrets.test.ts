import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prefillParams, restoreParams } from '../../app/secrets/prefill.ts'
import { createRedactor } from '../../app/secrets/redactor.ts'
import type { Json } from '../../app/task/task.ts'
import { fieldsFromParams, paramsFields, readParams } from '../../app/web/params-form.ts'
import { listenPanel } from '../helpers/listening-panel.ts'

const schema = {
  type: 'object',
  properties: {
    password: { type: 'string' },
    token: { type: 'integer' },
    secret: { enum: ['one of these', 'or of those'] },
    auth: { type: 'object' },
    credentials: { type: ['string', 'null'] },
    name: { type: 'string' },
    rows: { type: 'integer' },
    url: { type: 'string' },
    on: { type: 'boolean' },
  },
  required: ['password'],
}
const params: Json = {
  password: 'a secret of text',
  token: 123456789,
  secret: 'or of those',
  auth: { user: 'kim', pass: 'word' },
  credentials: 'more of it',
  name: 'shop',
  rows: 7,
  url: 'mysql://kim:pass-word@db/x',
  on: true,
}

/** What a browser sends back when nothing is changed. */
const sent = (schema: object | null, given: Record<string, string>): Record<string, string> => {
  const fields = paramsFields(schema, given)
  if (fields === null) return { params: given.params! }
  return Object.fromEntries(
    fields.flatMap(({ kind, name, value, options }) => {
      if (kind === 'select') return [[name, options.find(({ chosen }) => chosen)?.value ?? options[0]!.value]]
      return kind === 'checkbox' && value === '' ? [] : [[name, value]]
    }),
  )
}

for (const [what, form] of [
  ['a form made from a schema', schema],
  ['one field of JSON', null],
] as const) {
  test(`${what} that is sent back as it came has the same params, and shows no secret`, () => {
    const prefill = prefillParams(params, createRedactor([]))
    const fields = sent(form, fieldsFromParams(prefill.shown))
    assert.doesNotMatch(JSON.stringify(fields), /a secret of text|123456789|or of those|"word"|more of it|pass-word/)
    assert.deepEqual(
      restoreParams(readParams(form, fields), prefill, () => createRedactor([])),
      params,
    )
  })
}

test('a field with a kept secret is no field of its own kind: a placeholder is no number and no choice', () => {
  const fields = paramsFields(schema, fieldsFromParams(prefillParams(params, createRedactor([])).shown))!
  assert.deepEqual(
    fields.filter(({ isKept }) => isKept).map(({ key, kind, value }) => [key, kind, value]),
    ['password', 'token', 'secret', 'auth', 'credentials'].map((key, index) => [key, 'secret', `[redacted ${index + 1}]`]),
  )
  assert.deepEqual(
    paramsFields(schema, null)!.map(({ kind }) => kind),
    ['secret', 'number', 'select', 'json', 'json', 'text', 'number', 'text', 'checkbox'],
  )
})

test('a new value goes before the old one, and is not told when it does not fit', () => {
  const prefill = prefillParams(params, createRedactor([]))
  const fields = { ...sent(schema, fieldsFromParams(prefill.shown)), 'params.password': 'another', 'params.token': '42' }
  const back = restoreParams(readParams(schema, fields), prefill, () => createRedactor([])) as Record<string, Json>
  assert.deepEqual([back.password, back.token, back.secret], ['another', 42, 'or of those'])
  assert.throws(
    () => readParams(schema, { ...fields, 'params.token': 'not-a-number' }),
    (error: Error) => !error.message.includes('not-a-number'),
  )
})

test('over HTTP: what is left of another task’s secrets is refused where it would be shown, and no task is added', async t => {
  const panel = await listenPanel()
  t.after(panel.close)
  const operator = await panel.signIn('operator')
  const { background } = panel
  const rows = () => Number(panel.sql('SELECT COUNT(*) AS n FROM bg_task')[0]!.n)
  const post = (like: number, given: Json) =>
    panel.ask({
      method: 'POST',
      url: '/admin/core/bgtask',
      as: operator,
      body: {
        action: 'test/ok',
        exec_type: 'ONCE',
        when: 'in',
        delay: '5',
        delay_unit: 'hours',
        like: String(like),
        params: JSON.stringify(given),
      },
    })
  const secret = 'not-for-operators-7'
  for (const [stored, moved] of [
    [{ headers: [{ name: 'Authorization', value: secret }] }, { headers: [{ name: 'Accept', value: '[redacted 1]' }] }],
    [{ url: `https://u:${secret}@h/x` }, { url: '[redacted 1]' }],
    [
      { password: secret, note: `uses ${secret} ok` },
      { password: 'other-value-11', note: 'uses [redacted 2] ok' },
    ],
  ] satisfies [Json, Json][]) {
    const { id } = await background.addTask('test/ok', stored, { delayMs: 3_600_000 })
    const form = await panel.ask({ url: `/admin/core/bgtask/new?like=${id}`, as: operator })
    assert.doesNotMatch(form.body, new RegExp(secret))
    const before = rows()
    const shown = prefillParams(stored, createRedactor([secret])).shown as { [key: string]: Json }
    const elsewhere = await post(id, { ...shown, host: 'attacker.example' })
    assert.equal(elsewhere.status, 422)
    assert.match(elsewhere.body, /params\.host names attacker\.example, which was not there before/)
    const answer = await post(id, moved)
    assert.equal(answer.status, 422, JSON.stringify(moved))
    assert.match(answer.body, /only where it is hidden again/)
    assert.doesNotMatch(answer.body, new RegExp(secret))
    assert.equal(rows(), before)
    const left = await post(id, shown)
    assert.equal(left.status, 303)
    const [newest] = panel.sql('SELECT params FROM bg_task ORDER BY id DESC LIMIT 1')
    assert.deepEqual(JSON.parse(String(newest!.params)), stored)
  }
})
