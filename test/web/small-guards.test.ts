import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BgtaskError } from '../../app/errors.ts'
import type { Json } from '../../app/task/task.ts'
import { loginWaitMs, mostPerMinute, subjectsOf } from '../../app/web/login-wait.ts'
import { nextPath } from '../../app/web/next-path.ts'
import { fieldsFromParams, paramsFields, readParams } from '../../app/web/params-form.ts'

test('after logging in nobody is sent to another site', () => {
  for (const root of ['/admin', '/ops/bg'])
    for (const good of ['', '/core/bgtask?state=failed&text=a%20b', '/core/bgtask/7'])
      assert.equal(nextPath(`${root}${good}`, root), `${root}${good}`)
  for (const bad of ['/admin', '/ops', '/ops/bgx', '/ops/bg/../x', '/ops/bg/..', '/ops/bg/./../x?y'])
    assert.equal(nextPath(bad, '/ops/bg'), '/ops/bg')
  for (const bad of [
    undefined,
    7,
    '',
    '/',
    '//evil',
    '/admin//evil',
    '/\\evil',
    'https://evil/admin',
    'javascript:alert(1)',
    '/admin\n/x',
    '/admin/../x?a=<b>',
    '/admin/../x',
    '/admin/core/..',
    '/administrator',
    `/admin/${'a'.repeat(600)}`,
  ]) {
    assert.equal(nextPath(bad, '/admin'), '/admin')
  }
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), text => {
      const origin = 'http://127.0.0.1:8080'
      assert.equal(new URL(nextPath(`/${text}`, '/admin'), origin).origin, origin)
    }),
    { numRuns: 5_000 },
  )
})

test('failed logins are slowed, nobody is locked out', () => {
  const at = 1_000_000
  const wait = (subject: string, failures: number, passed: number) => loginWaitMs([{ subject, failures, lastAt: at }], at + passed)
  assert.equal(wait('user:a', 4, 0), 0)
  assert.equal(wait('user:a', 5, 0), 1_000)
  assert.equal(wait('user:a', 7, 0), 4_000)
  assert.equal(wait('user:a', 500, 0), 60_000)
  assert.equal(wait('user:a', 500, 60_000), 0)
  assert.equal(wait('ip:1.2.3.4', 9, 0), 0)
  assert.equal(wait('ip:1.2.3.4', 500, 0), 300_000)
  assert.equal(wait('user:a', 500, 3_600_001), 0, 'a quiet hour')
  assert.equal(wait('code:7', 500, 0), 900_000)
  assert.equal(wait('device:x', 500, 0), 300_000)
  const now = 60_000 * 17 + 5_000
  const all = (failures: number) => loginWaitMs([{ subject: 'all:17', failures, lastAt: now }], now)
  assert.deepEqual([all(mostPerMinute - 1), all(mostPerMinute)], [0, 55_000])
  const subjects = (name: string, ip: string, device: string | null = null) => subjectsOf({ name, ip, device, now })
  assert.deepEqual(subjects(' Admin ', '::ffff:1.2.3.4'), ['user:admin', 'ip:1.2.3.4', 'all:17'])
  assert.deepEqual(subjects('a', '2001:db8:1:2:3:4:5:6')[1], 'ip:2001:db8:1:2::/64')
  assert.deepEqual(subjects('a', '2001:db8::9')[1], 'ip:2001:db8:0:0::/64')
  assert.deepEqual(subjects('a', '2001:0db8:0000::9')[1], 'ip:2001:db8:0:0::/64')
  assert.deepEqual(subjects('admin', '1.2.3.4', 'nonce'), ['device:nonce'])
})

const schema = {
  type: 'object',
  required: ['rows', 'name'],
  properties: {
    rows: { type: 'integer', minimum: 1, default: 10, title: 'Rows' },
    name: { type: 'string' },
    note: { type: 'string' },
    ratio: { type: 'number' },
    fast: { type: 'boolean' },
    mode: { anyOf: [{ const: 'a' }, { const: 'b' }, { const: 3 }] },
    colour: { enum: ['red', 'green'], default: 'green' },
    tags: { type: 'array', items: { type: 'string' } },
  },
}

test('the form made from a schema, and read back', () => {
  const fields = paramsFields(schema, null)!
  assert.deepEqual(
    fields.map(({ key, kind, value, required }) => [key, kind, value, required]),
    [
      ['rows', 'number', '10', false],
      ['name', 'text', '', true],
      ['note', 'text', '', false],
      ['ratio', 'number', '', false],
      ['fast', 'checkbox', '', false],
      ['mode', 'select', '', false],
      ['colour', 'select', '"green"', false],
      ['tags', 'json', '', false],
    ],
  )
  const form = {
    'params.rows': '12',
    'params.name': 'x',
    'params.fast': 'on',
    'params.mode': '3',
    'params.colour': '"red"',
    'params.tags': '["a"]',
  }
  assert.deepEqual(readParams(schema, form), { rows: 12, name: 'x', fast: true, mode: 3, colour: 'red', tags: ['a'] })
  assert.deepEqual(readParams(schema, { 'params.rows': '', 'params.name': '' }), { name: '', fast: false })
  assert.deepEqual(readParams(null, { params: '{"a": 1}' }), { a: 1 })
  assert.deepEqual(readParams({ type: 'object', properties: {} }, {}), {})
  for (const [name, value] of [
    ['params.rows', 'many'],
    ['params.tags', '[1,'],
    ['params.tags', '{"__proto__": {"a": 1}}'],
  ] as const) {
    assert.throws(() => readParams(schema, { 'params.name': 'x', [name]: value }), BgtaskError)
  }
})

test('a form filled from the params of another task gives the same params', () => {
  fc.assert(
    fc.property(
      fc.record({
        rows: fc.integer({ min: 1 }),
        name: fc.string().map(text => text.replaceAll('\r\n', '')),
        fast: fc.boolean(),
        mode: fc.constantFrom<Json>('a', 'b', 3),
        colour: fc.constantFrom('red', 'green'),
        tags: fc.array(fc.string()),
      }),
      params => {
        const form = fieldsFromParams(params)
        // As a browser sends it: of a select the value of the chosen option.
        for (const field of paramsFields(schema, form)!)
          if (field.kind === 'select') form[field.name] = field.options.find(({ chosen }) => chosen)!.value
        assert.deepEqual(readParams(schema, form), { ...params })
      },
    ),
    { numRuns: 500 },
  )
})
