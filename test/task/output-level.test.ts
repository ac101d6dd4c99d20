import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAtLeast, levelOf } from '../../app/task/output-level.ts'

test('a line says how bad it is, in the ways in which programs say so', () => {
  const looks = {
    error: [
      '2026-07-18T09:00:00.000Z ERROR iteration 5 threw: no answer errors=1',
      'ERROR: no answer',
      'error: no answer',
      '[error] no answer',
      'TypeError: x is not a function',
      'Uncaught Error: no answer',
      'java.lang.IllegalStateException: no',
      'Error [ERR_MODULE_NOT_FOUND]: Cannot find module',
      '{"level":50,"msg":"no answer"}',
      'time=1 level=error msg="no answer"',
      '  FATAL out of memory',
    ],
    warn: [
      '2026-07-18T09:00:00.000Z WARN slow',
      'WARNING: slow',
      'warn: slow',
      '(node:12) ExperimentalWarning: it may change',
      '{"level":"warn"}',
    ],
    info: ['2026-07-18T09:00:00.000Z INFO polled ERROR=0', 'INFO polled', '{"level":30}', '[info] polled'],
    none: ['polled', 'no errors were found', 'terrors: 5', '    at poll (file.ts:5:3)', '', 'an Error happened'],
  }
  for (const [level, lines] of Object.entries(looks)) for (const line of lines) assert.equal(levelOf(line) ?? 'none', level, line)
  assert.ok(isAtLeast('ERROR: x', 'warn') && isAtLeast('WARN x', 'warn') && !isAtLeast('INFO x', 'warn') && !isAtLeast('x', 'info'))
})

test('only the beginning of a line is looked at', () => {
  assert.equal(levelOf(`${'x'.repeat(300)} ERROR`), null)
  assert.equal(levelOf(`${'x '.repeat(30)} ERROR`), 'error')
})
