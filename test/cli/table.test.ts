import assert from 'node:assert/strict'
import { test } from 'node:test'
import { displayWidth, fit } from '../../app/cli/display-width.ts'
import { parseDuration } from '../../app/cli/duration.ts'
import { formatTable } from '../../app/cli/table.ts'
import { BgtaskError } from '../../app/errors.ts'
import { harmless, harmlessJson, heldSequence, oneLine } from '../../app/texts/control-characters.ts'

const columns = [
  { title: 'id', value: (row: string[]) => row[0]!, right: true },
  { title: 'text', value: (row: string[]) => row[1]!, flexible: true },
  { title: 'state', value: (row: string[]) => row[2]! },
]

test('columns stand under their titles, whatever script they are in', () => {
  const lines = formatTable(
    columns,
    [
      ['1', '导出报表', 'waiting'],
      ['20', 'e\u0301te\u0301 👩‍👩‍👧', 'failed'],
      ['3', '', 'running'],
    ],
    null,
  ).split('\n')
  assert.deepEqual(lines, [
    'id  text      state',
    '──  ────────  ───────',
    ' 1  导出报表  waiting',
    '20  e\u0301te\u0301 👩‍👩‍👧    failed',
    ' 3            running',
  ])
})

test('cut to the terminal, the widest flexible column first, and never in the middle of a character', () => {
  const table = formatTable(
    columns,
    [
      ['1', '导'.repeat(50), 'waiting'],
      ['2', 'x'.repeat(50), 'running'],
    ],
    40,
  )
  for (const line of table.split('\n')) assert.ok(displayWidth(line) <= 40, line)
  assert.match(table, /导+… {1,3}waiting/)
  for (const line of formatTable(columns, [['1', 'x'.repeat(50), 'waiting']], 10).split('\n')) assert.ok(displayWidth(line) <= 10)
  assert.ok(formatTable(columns, [['1', 'x'.repeat(500), 'waiting']], null).includes('x'.repeat(500)))
  assert.equal(fit('好好', 3), '好…')
  assert.equal(displayWidth(fit('好好好', 4)), 4)
})

test('text of others cannot steer the terminal', () => {
  assert.equal(oneLine('a\r\nb\tc\u001b[31m\u009b1m\u202e\u2028d'), 'a b\ufffdc\ufffd1m\ufffd d')
  assert.equal(
    harmless('a\nb\tc\u001b]0;x\u0007\u001b[2J\u001b[1;31mred\u001b[0m\u001bc\rover'),
    'a\nb\tc\ufffd]0;x\ufffdred\ufffdc\ufffdover',
  )
  assert.deepEqual(JSON.parse(harmlessJson('{"a":"\u009b31m\u202e\u007f"}')), { a: '\u009b31m\u202e\u007f' })
  for (const text of [oneLine, harmless, harmlessJson].map(clean => clean('\u0085\u009b\u007f\u202e\u2066\u200f')))
    assert.doesNotMatch(text, /[\u007f-\u009f\u200f\u202e\u2066]/)
  assert.equal(heldSequence('text \u001b[31'), '\u001b[31')
  assert.equal(heldSequence('text \u001b[31m'), '')
})

test('durations', () => {
  const known = {
    '30s': 30_000,
    '5m': 300_000,
    '1h30m': 5_400_000,
    '250ms': 250,
    '2d': 172_800_000,
    '1.5h': 5_400_000,
    '10min': 600_000,
    '0': 0,
    ' 1M ': 60_000,
  }
  for (const [text, ms] of Object.entries(known)) assert.equal(parseDuration('--in', text, { most: '2d' }), ms, text)
  for (const text of ['', '5', '5x', 'm5', '-5s', '5s later', '1h 30m', 's', '1e3s']) {
    assert.throws(
      () => parseDuration('--in', text, { most: '9d' }),
      (error: unknown) => error instanceof BgtaskError && error.code === 'usage',
      text,
    )
  }
  for (const [text, sentence] of [
    ['999ms', '--every is "999ms"; allowed are durations from 1s to 366d, or never.'],
    ['99999999d', '--every is "99999999d"; allowed are durations from 1s to 366d, or never.'],
    ['x', '--every is "x"; allowed are durations like 250ms, 30s, 5m, 1h30m or 2d, or never.'],
  ] as const)
    assert.throws(() => parseDuration('--every', text, { least: '1s', most: '366d', also: 'never' }), { code: 'usage', message: sentence })
})
