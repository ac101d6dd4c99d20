import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorPattern } from '../../app/task/error-pattern.ts'
import { mostThrown, noteThrown, type ThrownError } from '../../app/task/thrown-errors.ts'

test('equal errors are counted together, with the words of the last one, and like those that end a run', () => {
  const thrown: ThrownError[] = []
  noteThrown(thrown, 'row 17 is locked', 5)
  noteThrown(thrown, 'no answer\nat all', 6)
  noteThrown(thrown, 'row 18 is locked', 7)
  const ended = {
    kind: 'failed',
    content: 'row 99 is locked',
    error: 'Error: row 99 is locked\n    at x',
    exitCode: 1,
    signal: null,
  } as const
  assert.deepEqual(thrown, [
    { pattern: errorPattern(ended), sample: 'row 18 is locked', n: 2, firstAt: 5, lastAt: 7 },
    { pattern: 'no answer', sample: 'no answer', n: 1, firstAt: 6, lastAt: 6 },
  ])
})

test('of many different ones those met last are kept, each of bounded length', () => {
  const thrown: ThrownError[] = []
  const word = (index: number) => 'x'.repeat(index + 1)
  for (let index = 0; index < 50; index++) noteThrown(thrown, `${word(index)} ${'long '.repeat(10_000)}`, index)
  assert.equal(thrown.length, mostThrown)
  assert.deepEqual(
    thrown.map(({ lastAt }) => lastAt),
    Array.from({ length: mostThrown }, (_, index) => 50 - mostThrown + index),
  )
  assert.ok(JSON.stringify(thrown).length < mostThrown * 1_000)
})
