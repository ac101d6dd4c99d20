import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { placeholderIn, prefillParams, restoreParams } from '../../app/secrets/prefill.ts'
import { redactJson } from '../../app/secrets/redact-json.ts'
import { createRedactor } from '../../app/secrets/redactor.ts'
import { formsOf, secretValuesIn } from '../../app/secrets/secret-values.ts'
import { whereTo } from '../../app/secrets/where-to.ts'
import type { Json } from '../../app/task/task.ts'

const params: Json = {
  url: 'mysql://kim:p%40ss-word@db/shop',
  apiKey: 'key-0123456789',
  rows: 10,
  flags: { auth: true, password: '', token: null, cookies: [] },
  accounts: [
    { name: 'one', password: 'first-secret' },
    { name: 'two', password: 'second-secret', note: 'was first-secret' },
  ],
  auth: { type: 'basic-auth', user: 'kimberly', pass: 'third-secret' },
  headers: [
    { name: 'Authorization', value: 'Bearer abcdefghij' },
    { name: 'Accept', value: 'text/html' },
    { key: 'X-Api-Key', value: 'abcdef-key' },
  ],
  pin: 'registered',
  token: 123456789,
}
const redactorOf = (json: Json, more: string[] = []) => createRedactor([...secretValuesIn(json), ...more].flatMap(formsOf))

test('params are shown without what is secret by its name, its value or its place in an address', () => {
  assert.deepEqual(redactJson(params, redactorOf(params, ['registered'])), {
    url: 'mysql://kim:[redacted]@db/shop',
    apiKey: '[redacted]',
    rows: 10,
    flags: { auth: true, password: '', token: null, cookies: [] },
    accounts: [
      { name: 'one', password: '[redacted]' },
      { name: 'two', password: '[redacted]', note: 'was [redacted]' },
    ],
    auth: '[redacted]',
    headers: [
      { name: 'Authorization', value: '[redacted]' },
      { name: 'Accept', value: 'text/html' },
      { key: 'X-Api-Key', value: '[redacted]' },
    ],
    pin: '[redacted]',
    token: '[redacted]',
  })
})

test('the secrets among params are known by value, so that output can be searched for them', () => {
  assert.deepEqual(secretValuesIn(params).sort(), [
    ...[
      '123456789',
      'Bearer abcdefghij',
      'abcdef-key',
      'abcdefghij',
      'first-secret',
      'key-0123456789',
      'p%40ss-word',
      'p@ss-word',
      'second-secret',
      'third-secret',
    ],
  ])
})

const json = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(
      null,
      true,
      false,
      0,
      7,
      '',
      'plain text',
      'the-first-secret',
      'x the-first-secret y',
      'http://a:pass-word@h/',
      '[x]',
      1234567,
    ),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('name', 'password', 'apiKey', 'rows', 'value', 'the-first-secret', 'deep'), tie('value'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
})).value as fc.Arbitrary<Json>

test('a form that comes back as it was gives back the same params, whatever they are, and never showed a secret', () => {
  fc.assert(
    fc.property(json, given => {
      const prefill = prefillParams(given, redactorOf(given, ['the-first-secret']))
      const { shown } = prefill
      assert.deepEqual(
        restoreParams(shown, prefill, json => redactorOf(json, ['the-first-secret'])),
        given,
      )
      const text = JSON.stringify(shown)
      for (const value of [...secretValuesIn(given).filter(value => value.length >= 6), 'the-first-secret', 'pass-word'])
        assert.ok(!text.includes(value), text)
    }),
    { numRuns: 3_000 },
  )
})

test('what is changed beside a secret is changed, in a list its place may change, and a new value goes before the old one', () => {
  const prefill = prefillParams(params, redactorOf(params, ['registered']))
  const form = prefill.shown as { accounts: { name: string; password: string; note?: string }[]; url: string; apiKey: string }
  const back = restoreParams(
    {
      ...form,
      rows: 20,
      apiKey: 'another',
      url: form.url.replace('db/shop', 'db/shop2'),
      accounts: [{ ...form.accounts[1]!, name: 'three' }, form.accounts[0]!],
    },
    prefill,
    json => redactorOf(json, ['registered']),
  ) as typeof form & { rows: number }
  assert.equal(back.rows, 20)
  assert.equal(back.apiKey, 'another')
  assert.equal(back.url, 'mysql://kim:p%40ss-word@db/shop2')
  assert.deepEqual(back.accounts, [
    { name: 'three', password: 'second-secret', note: 'was first-secret' },
    { name: 'one', password: 'first-secret' },
  ])
})

test('a placeholder means nothing elsewhere, nor with something beside it', () => {
  const prefill = prefillParams({ password: 'first-secret', name: 'kim' }, createRedactor([]))
  assert.deepEqual(prefill.shown, { password: '[redacted 1]', name: 'kim' })
  for (const given of [
    { password: 'x', name: '[redacted 1]' },
    { password: '[redacted 1]2' },
    { password: '[redacted 2]' },
    { password: '[redacted 0]' },
    { password: { password: '[redacted 1]' } },
    { other: ['[redacted 1]'] },
    { 'password [redacted 1]': 1 },
  ])
    assert.throws(
      () => restoreParams(given as unknown as Json, prefill, redactorOf),
      /params.*\[redacted \d\] in it, which stands for a hidden value/,
      JSON.stringify(given),
    )
})

test('params copied from where secrets are hidden are recognised', () => {
  assert.deepEqual(placeholderIn({ a: [{ password: '[redacted]' }] }), ['a', '*', 'password'])
  assert.deepEqual(placeholderIn({ token: '[redacted 3]' }), ['token'])
  assert.equal(placeholderIn({ note: '[redacted]', password: 'redacted' }), null)
})

test('addresses take time in proportion to the text', () => {
  for (const part of ['://', '://a:', 'a', '@', '://a@', 'a://b:c@', ':', 'http://', 'http:', 'x:\\@']) {
    const text = part.repeat(1_000_000 / part.length)
    const began = performance.now()
    redactJson(text, createRedactor([]))
    secretValuesIn(text)
    whereTo({ url: text })
    assert.ok(performance.now() - began < 3_000, `${part}: ${performance.now() - began} ms`)
  }
})
