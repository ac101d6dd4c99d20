import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRedactingStream } from '../../app/secrets/redacting-stream.ts'
import { createRedactor, leastLength, marker, type Redactor } from '../../app/secrets/redactor.ts'
import { formsOf } from '../../app/secrets/secret-values.ts'

/** Which bytes belong to a value, found the simple way; those that overlap are one place. */
const naive = (text: Buffer, values: readonly string[]): string => {
  const hidden = new Array<number>(text.length).fill(0)
  const starts = new Set<number>()
  const places: [number, number][] = []
  for (const value of values.filter(one => one.length >= leastLength).map(one => Buffer.from(one)))
    for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) places.push([at, at + value.length])
  for (const [start, end] of places) hidden.fill(1, start, end)
  for (let at = 0; at < text.length; at++)
    if (hidden[at] && (at === 0 || !places.some(([start, end]) => start < at && at < end))) starts.add(at)
  const parts: Buffer[] = []
  for (let at = 0; at < text.length; at++) {
    if (starts.has(at)) parts.push(Buffer.from(marker))
    if (!hidden[at]) parts.push(text.subarray(at, at + 1))
  }
  return Buffer.concat(parts).toString('latin1')
}

/** As a live view reads: pieces as they come, each window beginning a little before what is new. */
const inPieces = (redactor: Redactor, text: Buffer, cuts: readonly number[]): string => {
  const shown: Buffer[] = []
  let at = 0
  for (const end of [...new Set([...cuts.filter(cut => cut > 0 && cut < text.length)].sort((a, b) => a - b)), text.length]) {
    const start = Math.max(0, at - redactor.longestBytes)
    const { bytes, to } = redactor.piece(text.subarray(start, end), { from: at - start, continued: true, ended: end === text.length })
    shown.push(bytes)
    at = start + to
  }
  return Buffer.concat(shown).toString('latin1')
}

const few = fc.constantFrom('a', 'b', 'ab', 'aab', '字', '.', '\n')
const values = fc.array(
  fc.array(few, { minLength: 3, maxLength: 9 }).map(parts => parts.join('')),
  { minLength: 1, maxLength: 4 },
)
const texts = fc.array(few, { maxLength: 60 }).map(parts => Buffer.from(parts.join('')))

test('finds what a simple search finds, whatever overlaps', () => {
  fc.assert(
    fc.property(values, texts, (secrets, text) => {
      const { bytes } = createRedactor(secrets).piece(text)
      assert.equal(bytes.toString('latin1'), naive(text, secrets))
    }),
    { numRuns: 3_000 },
  )
})

test('shows the same however the text is cut into pieces', () => {
  fc.assert(
    fc.property(values, texts, fc.array(fc.nat(80), { maxLength: 12 }), (secrets, text, cuts) => {
      assert.equal(inPieces(createRedactor(secrets), text, cuts), naive(text, secrets))
    }),
    { numRuns: 3_000 },
  )
})

const hostile = [
  'hunter2!',
  '.*+?^$()|[]{}\\/',
  '<b>&"\'</b>',
  'two\nlines of it',
  '秘密の言葉です',
  '🗝️🔒🗝️🔒',
  'aaaaaaaaaaaa',
  'abababababab',
  "$& $1 $` $'",
  '[redacted]',
  '__proto__',
  '\u0000\u0001\u0002\u0003\u0004\u0005',
  'é́é́é́',
]

test('a value is hidden at every split of its text in two, and in three', () => {
  for (const value of hostile) {
    const redactor = createRedactor([value])
    const text = Buffer.from(`before ${value}${value} middle ${value}after`)
    const whole = naive(text, [value])
    assert.equal(redactor.piece(text).bytes.toString('latin1'), whole, value)
    for (let first = 0; first <= text.length; first++) {
      assert.equal(inPieces(redactor, text, [first]), whole, `${value} cut at ${first}`)
      for (let second = first + 1; second <= text.length; second += 3) assert.equal(inPieces(redactor, text, [first, second]), whole)
    }
  }
})

test('a range that begins or ends within a value shows no part of it', () => {
  for (const value of hostile) {
    const redactor = createRedactor([value])
    const text = Buffer.from(`12345${value}67890`)
    for (let from = 0; from < text.length; from++) {
      const start = Math.max(0, from - redactor.longestBytes)
      for (let to = from + 1; to <= text.length; to++) {
        const end = Math.min(text.length, to + redactor.longestBytes)
        const piece = redactor.piece(text.subarray(start, end), { from: from - start, to: to - start, ended: end === text.length })
        const own = Buffer.from(value)
        const touches = from < 5 + own.length && to > 5
        const left = text.subarray(from, Math.min(to, 5))
        const right = text.subarray(Math.max(from, 5 + own.length), to)
        assert.equal(
          piece.bytes.toString('latin1'),
          Buffer.concat([left, Buffer.from(touches ? marker : ''), right]).toString('latin1'),
          `${value} from ${from} to ${to}`,
        )
      }
    }
  }
})

test('what may be the beginning of a value is held back until it is known, and shown if it was none', () => {
  const redactor = createRedactor(['hunter2-hunter2'])
  const first = redactor.piece(Buffer.from('login hunter2-hun'), { ended: false })
  assert.deepEqual([first.bytes.toString(), first.to], ['login ', 6])
  assert.equal(redactor.piece(Buffer.from('hunter2-huns')).bytes.toString(), 'hunter2-huns')
})

test('short values are not looked for, and without any nothing changes', () => {
  const redactor = createRedactor(['12345', ''])
  assert.equal(redactor.longestBytes, 0)
  assert.equal(redactor.text('12345 \ud800'), '12345 \ud800')
  assert.equal(createRedactor(['123456']).text('12345 123456 \ud800').slice(0, 17), '12345 [redacted] ')
  assert.equal(createRedactor(['secret']).text('half \ud800 of it'), 'half \ud800 of it')
})

test('a value is also found as JSON, in an address, in a form, and line by line', () => {
  const value = 'p"w\\d é&=\n-----second line-----'
  const redactor = createRedactor(formsOf(value))
  for (const [text, shown] of [
    [`x${value}y`, 'x[redacted]y'],
    [JSON.stringify({ value }), '{"value":"[redacted]"}'],
    [`?q=${encodeURIComponent(value)}&`, '?q=[redacted]&'],
    [new URLSearchParams({ value }).toString(), 'value=[redacted]'],
    ['| -----second line----- |', '| [redacted] |'],
  ])
    assert.equal(redactor.text(text!), shown)
})

test('time grows with the text alone: hostile values, and thousands of them', () => {
  const text = Buffer.from('a'.repeat(2_000_000))
  const many = Array.from({ length: 5_000 }, (_, index) => `${'a'.repeat(6)}${index.toString(36).padStart(6, 'b')}`)
  for (const secrets of [
    [`${'a'.repeat(60_000)}b`],
    ['a'.repeat(6)],
    ['a'.repeat(60_000)],
    many,
    Array.from({ length: 200 }, (_, index) => `${'a'.repeat(6 + index)}b`),
  ]) {
    const redactor = createRedactor(secrets)
    const began = performance.now()
    redactor.piece(text)
    assert.ok(performance.now() - began < 2_000, `${secrets[0]!.slice(0, 20)}: ${performance.now() - began} ms`)
  }
  // What stands beside each other is one step for each byte too.
  const wide = createRedactor(Array.from({ length: 256 }, (_, byte) => `abc${String.fromCharCode(byte)}defg`))
  const began = performance.now()
  wide.piece(Buffer.from('abcx'.repeat(500_000)))
  assert.ok(performance.now() - began < 2_000)
})

test('a stream shows the same as the whole, whatever its pieces', () => {
  fc.assert(
    fc.property(values, texts, texts, fc.array(fc.nat(80), { maxLength: 12 }), (secrets, before, text, cuts) => {
      const redactor = createRedactor(secrets)
      const stream = createRedactingStream(() => redactor, before)
      const shown: Buffer[] = []
      let at = 0
      for (const end of [...cuts.filter(cut => cut < text.length).sort((a, b) => a - b), text.length]) {
        shown.push(stream.push(text.subarray(at, Math.max(at, end))))
        at = Math.max(at, end)
      }
      shown.push(stream.end())
      const whole = redactor.piece(Buffer.concat([before, text]), { from: before.length })
      assert.equal(Buffer.concat(shown).toString('latin1'), whole.bytes.toString('latin1'))
    }),
    { numRuns: 3_000 },
  )
})

test('a value that becomes known meanwhile is hidden from then on', () => {
  let redactor = createRedactor([])
  const stream = createRedactingStream(() => redactor)
  assert.equal(stream.push(Buffer.from('first ')).toString(), 'first ')
  redactor = createRedactor(['hunter2-hunter2'])
  assert.equal(stream.push(Buffer.from('then hunter2-')).toString(), 'then ')
  assert.equal(stream.push(Buffer.from('hunter2 and')).toString(), '[redacted] and')
  assert.equal(stream.end().toString(), '')
})
