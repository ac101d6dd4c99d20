import loose from 'node:assert'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkJson, isDeeperThan, jsonLimits } from '../../app/api/check-json.ts'
import { BgtaskError } from '../../app/errors.ts'

const refused = (value: unknown, sentence: RegExp) =>
  assert.throws(
    () => checkJson(value, 'params'),
    (error: unknown) => error instanceof BgtaskError && error.code === 'refused' && sentence.test(error.message),
  )

test('what is no JSON is refused with its place, what it is and what is allowed', () => {
  const cycle: Record<string, unknown> = {}
  cycle.self = { again: cycle }
  refused({ a: [1, undefined] }, /^params\.a\[1\] is undefined.*null/)
  refused(() => 1, /^params is a function/)
  refused({ at: new Date() }, /^params\.at is an instance of Date/)
  refused({ m: new Map() }, /instance of Map/)
  refused({ u: new URL('http://localhost') }, /instance of URL/)
  refused(new (class Point {})(), /instance of Point/)
  refused({ n: 1n }, /^params\.n is 1n/)
  refused({ n: Number.NaN }, /NaN/)
  refused([Number.POSITIVE_INFINITY], /^params\[0\] is Infinity/)
  refused({ s: Symbol('x') }, /Symbol\(x\)/)
  refused({ [Symbol('x')]: 1 }, /key Symbol\(x\)/)
  refused(cycle, /^params\.self\.again contains itself/)
  refused(Object.assign(new Array(3), { 0: 1, 2: 3 }), /^params\[1\] is undefined/)
  refused(Object.assign([1], { name: 'x' }), /array with a key "name"/)
  refused({ toJSON: () => 1 }, /params\.toJSON is a function/)
  refused(
    {
      get bad() {
        throw new Error('no')
      },
    },
    /^params\.bad cannot be read \(no\)/,
  )
})

test('keys that could change the prototype of a program are refused', () => {
  refused(JSON.parse('{"__proto__": {"admin": true}}'), /"__proto__"/)
  refused({ deep: [JSON.parse('{"__proto__": 1}')] }, /^params\.deep\[0\]/)
  refused({ constructor: { prototype: {} } }, /constructor\.prototype/)
  assert.deepEqual(checkJson({ constructor: 'Lego', prototype: 'P1' }, 'params'), { constructor: 'Lego', prototype: 'P1' })
})

test('text that a database cannot hold is refused', () => {
  refused('a\0b', /NUL character.*position 1/)
  refused({ 'k\0': 1 }, /NUL/)
  refused({ s: '\ud800' }, /lone surrogate/)
  refused({ '\udc00': 1 }, /lone surrogate/)
  assert.equal(checkJson('😀', 'params'), '😀')
})

test('limits: the last value that fits, and the first that does not', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 0 : [nested(depth - 1)])
  checkJson(nested(jsonLimits.depth), 'params')
  refused(nested(jsonLimits.depth + 1), /deeper than 32 levels/)
  refused(nested(5000), /deeper than 32 levels/)

  checkJson('x'.repeat(jsonLimits.bytes - 2), 'params')
  refused('x'.repeat(jsonLimits.bytes - 1), /65,537 bytes.*65,536 \(64 kB\)/)
  refused('好'.repeat(22_000), /66,002 bytes/)

  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [index.toString(36), 0]))
  checkJson(
    Array.from({ length: jsonLimits.keys }, () => 0),
    'params',
  )
  refused(
    Array.from({ length: jsonLimits.keys + 1 }, () => 0),
    /more than 10,000 keys/,
  )
  refused(keys(10_001), /more than 10,000 keys/)
  refused({ a: keys(6000), b: keys(6000) }, /^params\.b brings .* more than 10,000/)
})

test('any value is copied so that JSON gives it back unchanged, or refused', () => {
  const anything = fc.oneof(
    fc.object({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, withTypedArray: true }),
    fc.jsonValue(),
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.constantFrom(undefined, Symbol.iterator, Math.max, -0),
  )
  fc.assert(
    fc.property(anything, value => {
      let copy: unknown
      try {
        copy = checkJson(value, 'params')
      } catch (error) {
        assert.ok(error instanceof BgtaskError && error.code === 'refused', String(error))
        return
      }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(copy)), copy)
      // Loosely: -0 becomes 0, and an object without a prototype gets the usual one.
      loose.deepEqual(copy, value)
    }),
    { numRuns: 2000 },
  )
})

test('the copy is the caller\u2019s no more', () => {
  const given = { list: [1] }
  const copy = checkJson(given, 'params')
  given.list.push(2)
  assert.deepEqual(copy, { list: [1] })
})

test('how deep JSON is, however deep', () => {
  for (const [json, depth] of [
    ['1', 0],
    ['[]', 1],
    ['[1, {}]', 2],
    ['{"a": {"b": [1]}, "c": 1}', 3],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 100_000],
  ] as const) {
    assert.equal(isDeeperThan(JSON.parse(json), depth), false)
    if (depth > 0) assert.equal(isDeeperThan(JSON.parse(json), depth - 1), true)
  }
})
