import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { coversScope, formatScope, mostScopes, parseScope, parseScopes } from '../../app/api/scopes.ts'
import { BgtaskError } from '../../app/errors.ts'

test('scopes as they are written', () => {
  assert.deepEqual(parseScope('task:add:report/build'), { kind: 'task:add', action: 'report/build' })
  assert.deepEqual(parseScope('task:add:report/*'), { kind: 'task:add', action: 'report/*' })
  assert.deepEqual(parseScope('task:add:a/b/c/*'), { kind: 'task:add', action: 'a/b/c/*' })
  assert.deepEqual(parseScope('command:clear-cache'), { kind: 'command', name: 'clear-cache' })
  for (const plain of ['task:read', 'task:control', 'loop:restart', 'cron:run']) assert.deepEqual(parseScope(plain), { kind: plain })
  assert.deepEqual(parseScopes(['task:read', 'task:add:a/b', 'task:read']), ['task:read', 'task:add:a/b'])
})

test('what is no scope is refused in a sentence that says what there is', () => {
  const refused = (given: unknown, words: RegExp) =>
    assert.throws(
      () => parseScopes(given),
      (error: BgtaskError) => error instanceof BgtaskError && error.code === 'refused' && words.test(error.message),
      JSON.stringify(given),
    )
  for (const given of ['task:add:*', 'task:add:/*']) refused([given], /would cover every action; name an action or a folder/)
  refused(['task:add'], /needs the action that may be added/)
  refused(['*'], /does not exist\. There are task:add:<action>/)
  for (const given of [
    'task:add:',
    'task:add:report',
    'task:add:report/',
    'task:add:report/*/x',
    'task:add:re*',
    'task:add:report/b*',
    'task:add:../*',
    'task:add:..%2f*',
    'task:add:report//build',
    'task:add:Report/build',
    'task:add:report/build\n',
    'task:add:report/build ',
    'task:add:a/b/c/d/e',
    'task:add:a/b/c/d/*',
    'task:add:__proto__/x',
    `task:add:${'a/'.repeat(100_000)}b`,
  ])
    refused([given], /does not name an action/)
  for (const given of [
    '',
    ' ',
    'TASK:READ',
    'task:read ',
    'task:read\0',
    'task:write',
    'constructor',
    '__proto__',
    'toString',
    'task',
    'admin',
  ])
    refused([given], /does not exist/)
  for (const given of ['command:', 'command:*', 'command:a b', 'command:../x', 'command:-x']) refused([given], /does not name a command/)
  for (const given of [null, 7, {}, ['task:read'], undefined]) refused([given], /must be text like task:read/)
  for (const given of [null, 'task:read', {}, undefined]) refused(given, /must be a list/)
  refused([], /at least one of/)
  refused(
    Array.from({ length: mostScopes + 1 }, (_, index) => `task:add:a/x${index}`),
    /101 scopes are given; allowed are at most 100/,
  )
})

test('a folder covers what lies below it, and nothing whose name only begins so', () => {
  const may = (scope: string, action: string) => coversScope([scope], { kind: 'task:add', action })
  assert.ok(may('task:add:report/*', 'report/build'))
  assert.ok(may('task:add:report/*', 'report/year/build'))
  assert.ok(may('task:add:report/build', 'report/build'))
  for (const [scope, action] of [
    ['task:add:report/*', 'reports/build'],
    ['task:add:report/*', 'report'],
    ['task:add:report/*', 'report/'],
    ['task:add:report/*', 'report/../mail/send'],
    ['task:add:report/*', 'report/*'],
    ['task:add:report/build', 'report/build2'],
    ['task:add:report/build', 'report/build/x'],
    ['task:add:report/build', 'mail/send'],
    ['task:read', 'report/build'],
    ['task:add:*', 'report/build'],
    ['task:add:/*', 'report/build'],
  ] as const)
    assert.ok(!may(scope, action), `${scope} ${action}`)
  assert.ok(coversScope(['task:read'], { kind: 'task:read' }))
  assert.ok(!coversScope(['task:control'], { kind: 'task:read' }))
  assert.ok(!coversScope(['command:a'], { kind: 'command', name: 'b' }))
  assert.ok(coversScope(['command:a'], { kind: 'command', name: 'a' }))
  assert.ok(!coversScope([], { kind: 'task:read' }))
})

test('whatever is given: a scope that is written as it was read, or a refusal', () => {
  const part = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/)
  const action = fc.array(part, { minLength: 2, maxLength: 4 }).map(parts => parts.join('/'))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map(text => `task:add:${text}`),
        fc.anything(),
      ),
      given => {
        try {
          assert.equal(formatScope(parseScope(given)), given)
        } catch (error) {
          assert.ok(error instanceof BgtaskError && error.code === 'refused', String(error))
          assert.ok(error.message.length < 400)
        }
      },
    ),
    { numRuns: 5_000 },
  )
  fc.assert(
    fc.property(action, action, (allowed, asked) => {
      const folder = allowed.slice(0, allowed.lastIndexOf('/'))
      assert.equal(coversScope([`task:add:${allowed}`], { kind: 'task:add', action: asked }), allowed === asked)
      assert.equal(coversScope([`task:add:${folder}/*`], { kind: 'task:add', action: asked }), asked.startsWith(`${folder}/`))
    }),
    { numRuns: 2_000 },
  )
})
