import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changesBetween, fewPlaces, sameJson, type TaskTerms } from '../../app/task/edit.ts'
import type { Json } from '../../app/task/task.ts'

const terms = (params: Json, more: Partial<TaskTerms> = {}): TaskTerms => ({
  params,
  priority: 0,
  maxAttempts: 1,
  timeoutMs: null,
  graceMs: 10_000,
  rerunAfterCrash: true,
  ...more,
})

test('what differs is told place by place: objects are gone into, lists are told as a whole, limits come last', () => {
  const before = terms({ rows: 10, to: { host: 'a', port: 1 }, tags: ['x'], gone: null })
  const after = terms({ tags: ['x', 'y'], rows: 10, to: { host: 'b', port: 1 }, more: false }, { graceMs: 5_000, timeoutMs: 60_000 })
  assert.deepEqual(changesBetween(before, after), [
    { path: ['params', 'to', 'host'], from: 'a', to: 'b' },
    { path: ['params', 'tags'], from: ['x'], to: ['x', 'y'] },
    { path: ['params', 'gone'], from: null, to: undefined },
    { path: ['params', 'more'], from: undefined, to: false },
    { path: ['timeoutMs'], from: null, to: 60_000 },
    { path: ['graceMs'], from: 10_000, to: 5_000 },
  ])
  assert.deepEqual(changesBetween(terms('a'), terms(['a'])), [{ path: ['params'], from: 'a', to: ['a'] }])
})

test('names that objects inherit are keys like others', () => {
  const after = terms(JSON.parse('{"constructor": 1, "toString": {"__proto__": 2}}') as Json)
  assert.deepEqual(
    changesBetween(terms({}), after).map(({ path, from }) => [path.join('.'), from]),
    [
      ['params.constructor', undefined],
      ['params.toString', undefined],
    ],
  )
})

test('what was given anew is told although nothing differs, and once only', () => {
  const same = terms({ password: 'abc', rows: 1 })
  assert.deepEqual(changesBetween(same, same), [])
  assert.deepEqual(changesBetween(same, same, [['params', 'password']]), [{ path: ['params', 'password'], from: 'abc', to: 'abc' }])
  assert.equal(changesBetween(same, terms({ password: 'x', rows: 1 }), [['params', 'password']]).length, 1)
  assert.deepEqual(changesBetween(same, same, [['params', 'no', 'such']]), [
    { path: ['params', 'no', 'such'], from: undefined, to: undefined },
  ])
})

test('params are the same whatever the order of their keys, and there is no change between them; any other pair has one', () => {
  const json = fc.jsonValue() as fc.Arbitrary<Json>
  fc.assert(
    fc.property(json, json, (one, other) => {
      assert.ok(sameJson(one, turned(one)))
      assert.deepEqual(changesBetween(terms(one), terms(turned(one))), [])
      assert.equal(changesBetween(terms(one), terms(other)).length === 0, sameJson(one, other))
      assert.equal(sameJson(one, other), sameJson(other, one))
    }),
  )
})

test('of very many places, or very long ones, the params as a whole stay', () => {
  const many = Array.from({ length: 101 }, (_, n) => ['params', `key${n}`])
  assert.deepEqual(fewPlaces(many), [['params']])
  assert.equal(fewPlaces(many.slice(1)).length, 100)
  assert.deepEqual(fewPlaces([['params', 'x'.repeat(70_000)]]), [['params']])
  assert.deepEqual(
    fewPlaces([
      ['params', 'a'],
      ['params', 'a'],
    ]),
    [['params', 'a']],
  )
})

const turned = (json: Json): Json => {
  if (Array.isArray(json)) return json.map(turned)
  if (typeof json !== 'object' || json === null) return json
  return Object.fromEntries(
    Object.entries(json)
      .reverse()
      .map(([key, value]) => [key, turned(value)]),
  )
}
