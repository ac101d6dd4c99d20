import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkToken, type ShownToken } from '../../app/api/tokens.ts'
import { listAudit } from '../../app/store/audit.ts'
import { openScene } from '../api/scene.ts'
import { json, run } from './run.ts'

test('tokens in a terminal: made, listed, revoked', async t => {
  const { env, background } = await openScene(t)
  assert.match((await run(env, 'token', 'list')).stdout, /There is no token yet/)
  const made = await run(env, 'token', 'create', 'deploy', '--scope', 'loop:restart', '--scope', 'task:add:report/*')
  assert.equal(made.code, 0, made.stderr)
  // Alone on stdout, for TOKEN=$(…).
  assert.match(made.stdout, /^bgt_1_[\w-]{43}\n$/)
  assert.match(made.stderr, /cannot be shown again/)
  const checked = await checkToken(background.db, made.stdout.trim(), Date.now())
  assert.deepEqual(checked.token?.scopes, ['loop:restart', 'task:add:report/*'])
  assert.equal(checked.token!.expiresAt! - checked.token!.createdAt, 90 * 86_400_000)
  const told = json<ShownToken & { token: string }>(
    await run(env, 'token', 'create', 'never', '--scope', 'task:read', '--expires', 'never', '--json'),
  )
  assert.equal(told.expiresAt, null)
  assert.equal((await checkToken(background.db, told.token, Date.now())).token?.name, 'never')
  const list = await run(env, 'token', 'list')
  assert.match(list.stdout, /deploy +active +loop:restart task:add:report\/\*/)
  assert.ok(!list.stdout.includes(told.token.slice(-43)))
  const listed = json<ShownToken[]>(await run(env, 'token', 'list', '--json'))
  assert.deepEqual(
    listed.map(({ name, state }) => [name, state]),
    [
      ['never', 'active'],
      ['deploy', 'active'],
    ],
  )
  assert.ok(listed.every(token => !('hash' in token)))
  assert.equal((await run(env, 'token', 'revoke', '1')).code, 0)
  assert.equal((await checkToken(background.db, made.stdout.trim(), Date.now())).refused, 'revoked')
  const again = await run(env, 'token', 'revoke', '1')
  assert.deepEqual([again.code, again.stderr], [0, ''])
  assert.match(again.stdout, /was revoked before/)
  assert.deepEqual(
    (await listAudit(background.db, { limit: 10 })).map(({ act, via }) => `${act} ${via}`),
    ['token-revoked command-line', 'token-made command-line', 'token-made command-line'],
  )
})

test('what is wrong on the command line is said, and exits accordingly', async t => {
  const { env } = await openScene(t)
  for (const [args, code, words] of [
    [['create', 'x'], 2, /scope/],
    [['create', 'x', '--scope', 'task:add:*'], 2, /would cover every action/],
    [['create', 'x', '--scope', 'task:read', '--expires', 'soon'], 2, /allowed are durations/],
    [['create', 'x', '--scope', 'task:read', '--expires', '0'], 2, /durations from 1m to 3650d, or never/],
    [['revoke', 'x'], 2, /whole numbers/],
    [['revoke', '99'], 1, /Token 99 does not exist/],
  ] as const) {
    const ended = await run(env, 'token', ...args)
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stderr}`)
    assert.match(ended.stderr, words)
    assert.equal(ended.stdout, '')
  }
})
