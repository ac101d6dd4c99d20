import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asPrefilled } from '../../app/secrets/as-prefilled.ts'
import { prefillParams, restoreParams } from '../../app/secrets/prefill.ts'
import { redactJson } from '../../app/secrets/redact-json.ts'
import { createRedactor } from '../../app/secrets/redactor.ts'
import type { Json } from '../../app/task/task.ts'

const stored: Json = {
  rows: 1,
  password: 'one-secret-1',
  list: ['a', { token: 'two-secret-2' }],
  url: 'https://u:three-secret@h/x',
  note: 'a secret: one-secret-1',
}
const redactor = createRedactor(['one-secret-1'])
const told = redactJson(stored, redactor)
const prefill = prefillParams(stored, redactor)
const { shown } = prefill
const back = (given: Json) => restoreParams(asPrefilled(given, told, shown), prefill, () => redactor)

test('params that come back as they were told are those that are stored', () => {
  assert.doesNotMatch(JSON.stringify(told), /one-secret|two-secret|three-secret/)
  assert.deepEqual(back(told), stored)
  const changed = { rows: 2, password: 'a new one', more: [1] }
  assert.deepEqual(back({ ...(told as object), ...changed }), { ...(stored as object), ...changed })
})

test('in another place, or as a part of another text, it stands for nothing', () => {
  const elsewhere: Json[] = [
    { note: '[redacted]' },
    { url: 'https://attacker.example/?[redacted]' },
    { list: [{ token: '[redacted]' }] },
    { other: '[redacted]' },
    '[redacted]',
  ]
  for (const given of elsewhere) assert.deepEqual(asPrefilled(given, told, shown), given)
})
