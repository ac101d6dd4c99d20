import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prefillParams, restoreParams } from '../../app/secrets/prefill.ts'
import { createRedactor } from '../../app/secrets/redactor.ts'
import { formsOf, secretValuesIn } from '../../app/secrets/secret-values.ts'
import type { Json } from '../../app/task/task.ts'

const S = 'qq7kangaroo9'
const redactorOf = (json: Json) => createRedactor(secretValuesIn(json).flatMap(formsOf))
const post = (stored: Json, given: Json) => restoreParams(given, prefillParams(stored, redactorOf(stored)), redactorOf)
const refused = (stored: Json, given: Json) =>
  assert.throws(
    () => post(stored, given),
    (error: Error & { code?: string }) => error.code === 'refused' && /hidden again/.test(error.message) && !error.message.includes(S),
    JSON.stringify(given),
  )

test('what hid a secret may not be taken away around it', () => {
  const url = `https://u:${S}@h/x`
  const noted = { password: S, note: `uses ${S} ok` }
  for (const [stored, given] of [
    [{ headers: [{ name: 'Authorization', value: S }] }, { headers: [{ name: 'Accept', value: '[redacted 1]' }] }],
    [
      { name: 'password', value: S },
      { name: 'x', value: '[redacted 1]' },
    ],
    [{ url }, { url: '[redacted 1]' }],
    [{ url }, { url: '[redacted 1]@h.example/x' }],
    [noted, { password: 'other-value-11', note: 'uses [redacted 2] ok' }],
    [noted, { note: 'uses [redacted 2] ok' }],
    [noted, { note: '[redacted 2]' }],
    // Only one of two in a list; a part that becomes a whole; a whole that becomes a key; a number of the same value; longer than it was.
    [
      { list: [{ name: 'token', value: S }] },
      {
        list: [
          { name: 'token', value: '[redacted 1]' },
          { name: 'x', value: '[redacted 1]' },
        ],
      },
    ],
    [{ list: [noted, { name: 'x', value: `a ${S} b` }] }, { list: [{ name: 'password', value: '[redacted 3]' }] }],
    [{ a: { password: S } }, { a: { password: { '[redacted 1]': 1 } } }],
    [
      { token: 123456789, rows: 123456789 },
      { token: 1, rows: '[redacted 2]' },
    ],
    [{ url }, { url: 'https://u:a[redacted 1]@h/x' }],
    [{ url: 'https://u:abc@h/x' }, { url: 'https://u:[redacted 1]@h/x', password: 'ps://u' }],
    [
      { [`the ${S}`]: 1, password: S },
      { 'the [redacted 1]': 1, password: 'another one' },
    ],
  ] satisfies [Json, Json][])
    refused(stored, given)
})

test('a secret may not be sent elsewhere, though it would be hidden there too', () => {
  const stored = { own: { host: 'mail.example', password: S }, other: { host: 'other.example', password: 'some-other-1' } }
  for (const given of [
    { ...stored, other: { host: 'other.example', password: '[redacted 1]' } },
    { own: { host: 'mail.example', password: '[redacted 2]' }, other: { host: 'other.example', password: '[redacted 1]' } },
    { own: { host: 'mail.example', password: '[redacted 1]', token: '[redacted 1]' } },
    { own: { password: { password: '[redacted 1]' } } },
    { password: '[redacted 1]' },
  ] as Json[])
    refused(stored, given)
})

test('a hidden value is not sent to another host than it was', () => {
  const url = `https://u:${S}@h.example:444/x`
  const sent = (stored: Json, given: Json) =>
    assert.throws(
      () => post(stored, given),
      (error: Error & { code?: string }) =>
        error.code === 'refused' && /not there before/.test(error.message) && !error.message.includes(S),
      JSON.stringify(given),
    )
  for (const [stored, given] of [
    [{ url }, { url: 'https://u:[redacted 1]@evil.example/x' }],
    [{ url }, { url: 'https://u:[redacted 1]@h.example/x' }],
    [{ url }, { url: 'http://u:[redacted 1]@h.example:444/x' }],
    [{ url }, { url: 'https://u:[redacted 1]@h.example:444/x https://evil.example' }],
    [
      { smtpHost: 'mail.example', password: S },
      { smtpHost: 'evil.example', password: '[redacted 1]' },
    ],
    [{ password: S }, { password: '[redacted 1]', proxy: 'evil.example:3128' }],
    [
      { servers: ['a.example'], apiKey: S },
      { servers: ['a.example', 'evil.example'], apiKey: '[redacted 1]' },
    ],
    [
      { host: 'a.example', password: S },
      { host: 2130706433, password: '[redacted 1]' },
    ],
    [
      { to: { 'https://a.example': 1 }, token: S },
      { to: { 'https://evil.example': 1 }, token: '[redacted 1]' },
    ],
  ] satisfies [Json, Json][])
    sent(stored, given)
  // However it is written: what a parser of addresses takes for another host.
  for (const url of [
    'https://hooks.example.evil.example/a',
    'https://hooks.example@evil.example/a',
    'https://hooks.example"@evil.example/a',
    'https://hooks.example @evil.example/a',
    'https:\\\\evil.example/a',
    'https:/evil.example',
    'https:evil.example',
    'https:/\t/evil.example',
    'ht\ntps://evil.example',
    'https://hooks.example https://evil.example',
    'evil.example https://hooks.example',
    'https://hooks.example:444/a',
    'https://hooks.example\\@evil.example',
    'https://evil.example\\@hooks.example',
    '//evil.example/a',
    'evil.example',
  ])
    sent({ webhook: { url: 'https://hooks.example/a', token: S } }, { webhook: { url, token: '[redacted 1]' } })
  // Another path, the hosts in another order, one less; with the value given anew, whatever it is.
  const two = { urls: ['https://a.example/1', 'https://b.example/2'], password: S, host: 'c.example' }
  assert.deepEqual(post(two, { urls: ['https://B.example/3', 'https://a.example/1'], password: '[redacted 1]' }), {
    urls: ['https://B.example/3', 'https://a.example/1'],
    password: S,
  })
  assert.deepEqual(post({ url }, { url: 'https://u:a-new-one@evil.example/x' }), { url: 'https://u:a-new-one@evil.example/x' })
})

test('a placeholder as it is shown is not taken for a text, within a longer one either', () => {
  for (const given of [
    { password: '[redacted 1]', note: 'uses [redacted] ok' },
    { password: 'a-new-one', url: 'https://u:[redacted]@h' },
    { password: '[redacted 1]', '[redacted]': 1 },
  ] as Json[])
    assert.throws(() => post({ password: S, note: `uses ${S} ok` }, given), /have \[redacted\] in them/, JSON.stringify(given))
  // Where the params have such a text themselves, it is theirs.
  const own = { password: S, note: 'prints [redacted]' }
  assert.deepEqual(post(own, { password: '[redacted 1]', note: 'prints [redacted] twice' }), { ...own, note: 'prints [redacted] twice' })
})

test('a guess that is typed does not tell whether it is right, whole or in part', () => {
  const stored = { password: S, note: `uses ${S} ok` }
  for (const guess of [S, 'wrong-guess-1', `${S}\nothers-too`, [S, 'wrong-guess-1'], { key: S, value: 1 }] as Json[])
    for (const given of [
      { password: guess, note: 'uses [redacted 2] ok' },
      { secret: guess, note: 'uses [redacted 2] ok' },
    ] as Json[])
      refused(stored, given)
  refused(stored, { note: `http://u:${S}@h uses [redacted 2] ok` })
  // Overlapping what came back.
  for (const guess of ['uses q', 'uses x'])
    assert.deepEqual(post(stored, { password: '[redacted 1]', note: 'uses [redacted 2] ok', secret: guess }), { ...stored, secret: guess })
})

test('what is hidden again stays: as it was, in another order, with other things around it', () => {
  const headers = [
    { name: 'Authorization', value: S },
    { name: 'Accept', value: 'text/html' },
  ]
  const stored = { headers, url: `mysql://kim:${S}@db/shop`, note: `uses ${S} ok`, token: 123456789, rows: 123456789 }
  const shown = prefillParams(stored, redactorOf(stored)).shown as typeof stored
  assert.deepEqual(post(stored, shown), stored)
  assert.deepEqual(post(stored, { ...shown, headers: [...shown.headers].reverse() }), { ...stored, headers: [...headers].reverse() })
  // The note is hidden by the address alone, too.
  assert.deepEqual(post(stored, { url: shown.url.replace('shop', 'shop2'), note: `${shown.note}, and more` }), {
    url: `mysql://kim:${S}@db/shop2`,
    note: `uses ${S} ok, and more`,
  })
})
