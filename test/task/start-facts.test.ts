import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainExitCode } from '../../app/task/exit-words.ts'
import { changedAtStart, type StartFacts } from '../../app/task/start-facts.ts'
import { translate } from '../../app/texts/translate.ts'

const facts: StartFacts = {
  code: { file: '/app/actions/report/build.ts', changedAt: 1, hash: 'a1b2c3' },
  commit: 'f'.repeat(40),
  node: '24.1.0',
  bgtask: '1.0.0',
  limits: null,
  timeoutMs: null,
  graceMs: 10_000,
}
const between = (before: Partial<StartFacts>, after: Partial<StartFacts>) => changedAtStart({ ...facts, ...before }, { ...facts, ...after })

test('nothing is told of what is as it was, also when its file was written anew', () => {
  assert.deepEqual(between({ params: { a: 1 } }, { params: { a: 1 }, code: { ...facts.code!, changedAt: 2 } }), [])
})

test('code, commit, versions, limits and params: each with what it was and what it is', () => {
  assert.deepEqual(
    between(
      { timeoutMs: 1_000, params: { a: 1, b: 'x', gone: true } },
      {
        code: { ...facts.code!, hash: 'd4e5f6' },
        commit: null,
        node: '24.2.0',
        bgtask: '1.1.0',
        limits: { runAs: null, noNewPrivileges: false, memoryMb: 96, processes: null, killOnOutputBytes: null, database: false },
        graceMs: 500,
        params: { a: 2, b: 'x', more: [1] },
      },
    ),
    [
      { what: 'code', before: '/app/actions/report/build.ts (a1b2c3)', after: '/app/actions/report/build.ts (d4e5f6)' },
      { what: 'commit', before: 'f'.repeat(40), after: null },
      { what: 'node', before: '24.1.0', after: '24.2.0' },
      { what: 'bgtask', before: '1.0.0', after: '1.1.0' },
      { what: 'limits', before: null, after: 'memoryMb 96' },
      { what: 'timeoutMs', before: '1000', after: null },
      { what: 'graceMs', before: '10000', after: '500' },
      { what: 'params', name: 'a', before: '1', after: '2' },
      { what: 'params', name: 'gone', before: 'true', after: null },
      { what: 'params', name: 'more', before: null, after: '[1]' },
    ],
  )
  assert.deepEqual(between({ params: [1] }, { params: { a: 1 } }), [{ what: 'params', name: '', before: '[1]', after: '{"a":1}' }])
})

test('an exit code or a signal in words, in both languages', () => {
  const say = (exit: { exitCode?: number; signal?: string; endedAt?: number | null }) => {
    const { key, values } = explainExitCode({ endedAt: 1, exitCode: null, signal: null, ...exit })
    assert.ok(translate('zh', key, values).length > 1)
    return translate('en', key, values)
  }
  assert.equal(say({ exitCode: 0 }), 'Exit code 0: it says that all went well.')
  assert.equal(say({ exitCode: 78 }), 'Exit code 78: its configuration is wrong.')
  assert.equal(say({ exitCode: 5 }), 'Exit code 5.')
  assert.equal(say({ exitCode: 137 }), 'Exit code 137: something that it had started was ended by signal 9.')
  assert.equal(say({ signal: 'SIGSEGV' }), 'SIGSEGV: it reached for memory that is not its own.')
  assert.equal(say({ signal: 'SIGRTMIN' }), 'Signal SIGRTMIN.')
  assert.equal(say({}), 'Not known: nobody saw its end.')
  assert.equal(say({ endedAt: null }), 'It still runs.')
})
