import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CompiledQuery } from 'kysely'
import type { Actor } from '../../app/api/audited.ts'
import { checkToken, makeToken, revokeToken, shownTokens, tokenActor } from '../../app/api/tokens.ts'
import { BgtaskError } from '../../app/errors.ts'
import { listAudit } from '../../app/store/audit.ts'
import { openScene } from './scene.ts'

const kim: Actor = { name: 'kim', ip: '10.0.0.1', via: 'form' }
const minuteMs = 60_000

const open = async (t: TestContext) => (await openScene(t)).background.db

test('a token: its form, its defaults, and what opens', async t => {
  const db = await open(t)
  const { token, text } = await makeToken(db, kim, { name: ' deploy ', scopes: ['loop:restart', 'loop:restart'] })
  assert.match(text, new RegExp(`^bgt_${token.id}_[A-Za-z0-9_-]{43}$`))
  assert.equal(Buffer.from(text.split('_').slice(2).join('_'), 'base64url').length, 32)
  assert.deepEqual(
    { ...token, createdAt: 0, expiresAt: token.expiresAt! - token.createdAt },
    {
      id: token.id,
      name: 'deploy',
      scopes: ['loop:restart'],
      createdBy: 'kim',
      createdAt: 0,
      expiresAt: 90 * 86_400_000,
      lastUsedAt: null,
      lastUsedIp: null,
      revokedAt: null,
      revokedBy: null,
      state: 'active',
    },
  )
  assert.equal((await checkToken(db, text, Date.now())).token?.id, token.id)
  assert.equal((await makeToken(db, kim, { name: 'x', scopes: ['task:read'], lifeMs: 'never' })).token.expiresAt, null)
  assert.equal(tokenActor(token), `deploy (token ${token.id})`)
  const most = { id: Number.MAX_SAFE_INTEGER, name: 'x'.repeat(32) }
  assert.ok(tokenActor(most).length <= 64, 'it fits where names of users stand')
})

test('nothing else opens: another secret, another id, anything longer, shorter or near', async t => {
  const db = await open(t)
  const one = await makeToken(db, kim, { name: 'one', scopes: ['task:read'] })
  const two = await makeToken(db, kim, { name: 'two', scopes: ['task:read'] })
  const secret = one.text.slice(-43)
  const refused = async (given: string) => {
    const checked = await checkToken(db, given, Date.now())
    return checked.token ? 'opened' : checked.refused
  }
  const changed = `${secret.startsWith('A') ? 'B' : 'A'}${secret.slice(1)}`
  const { hash } = (await db.kysely.selectFrom('bg_token').select('token_hash as hash').executeTakeFirstOrThrow()) as { hash: string }
  for (const given of [
    `bgt_${two.token.id}_${secret}`,
    `bgt_${one.token.id}_${changed}`,
    `bgt_${one.token.id}_${'A'.repeat(43)}`,
    `bgt_${one.token.id}_${secret.toLowerCase() === secret ? secret.toUpperCase() : secret.toLowerCase()}`,
    `bgt_99_${secret}`,
    `bgt_9007199254740991_${secret}`,
    `bgt_${one.token.id}_${hash.slice(0, 43)}`,
  ])
    assert.equal(await refused(given), 'unknown', given)
  for (const given of [
    '',
    secret,
    one.text.slice(0, -1),
    `${one.text}A`,
    `${one.text}\n`,
    ` ${one.text}`,
    `bgt__${secret}`,
    `bgt_0_${secret}`,
    `bgt_-1_${secret}`,
    `bgt_1e0_${secret}`,
    `bgt_01_${secret}`,
    `bgt_9007199254740992_${secret}`,
    `bgt_${'9'.repeat(400)}_${secret}`,
    `BGT_1_${secret}`,
    `bgt_1_${secret.slice(1)}=`,
    `bgt_1_${hash}`,
    'bgt_1_%',
    "bgt_1_' OR 1=1 --",
    'x'.repeat(1_000_000),
  ])
    assert.equal(await refused(given), 'malformed', given.slice(0, 80))
  assert.equal(await refused(one.text), 'opened')
})

test('expired and revoked is told to who has the secret, and to nobody else', async t => {
  const db = await open(t)
  const short = await makeToken(db, kim, { name: 'short', scopes: ['task:read'], lifeMs: minuteMs })
  const end = short.token.expiresAt!
  const at = async (text: string, now: number) => (await checkToken(db, text, now)).refused
  assert.equal(await at(short.text, end - 1), null)
  for (const late of [0, 1, 86_400_000]) assert.equal(await at(short.text, end + late), 'expired')
  const guess = `${short.text.slice(0, -43)}${'A'.repeat(43)}`
  assert.equal(await at(guess, end), 'unknown')
  const revoked = await revokeToken(db, kim, short.token.id)
  assert.equal(revoked.state, 'revoked')
  assert.equal(await at(short.text, end - 1), 'revoked')
  assert.equal(await at(guess, end - 1), 'unknown')
  await assert.rejects(revokeToken(db, kim, short.token.id), /was revoked before, by kim/)
  await assert.rejects(revokeToken(db, kim, 99), (error: BgtaskError) => error.code === 'not-found')
  assert.deepEqual(
    (await shownTokens(db, { limit: 10 })).map(({ name, state }) => [name, state]),
    [['short', 'revoked']],
  )
})

test('names, scopes and times that cannot be are refused, and nothing is stored', async t => {
  const db = await open(t)
  const refused = (wish: object, words: RegExp) =>
    assert.rejects(
      makeToken(db, kim, { name: 'x', scopes: ['task:read'], ...wish }),
      (error: BgtaskError) => error instanceof BgtaskError && error.code === 'refused' && words.test(error.message),
      JSON.stringify(wish),
    )
  await refused({ name: '' }, /name is 0 characters long/)
  await refused({ name: '   ' }, /name is 0 characters long/)
  await refused({ name: 'x'.repeat(33) }, /33 characters long/)
  await refused({ name: 7 }, /name is 7; it must be text/)
  for (const name of ['a\u0007b', 'a\u202eb', 'a\nb', 'a\u200bb']) await refused({ name }, /control characters/)
  await refused({ scopes: ['task:write'] }, /does not exist/)
  await refused({ scopes: [] }, /at least one/)
  for (const lifeMs of [0, -1, 59_999, 1.5 * minuteMs + 0.5, Number.NaN, Number.POSITIVE_INFINITY, 3_651 * 86_400_000, 'forever', null])
    if (lifeMs !== null) await refused({ lifeMs }, /allowed are 1 minute to 3650 days, and never/)
  assert.deepEqual(await shownTokens(db, { limit: 10 }), [])
  assert.deepEqual(await listAudit(db, { limit: 10 }), [])
})

test('only a hash of it is stored: neither the table nor the audit has the secret', async t => {
  const { background, config } = await openScene(t)
  const { text } = await makeToken(background.db, kim, { name: 'canary', scopes: ['task:read'] })
  const secret = text.slice(-43)
  await background.db.kysely.executeQuery(CompiledQuery.raw('PRAGMA wal_checkpoint(TRUNCATE)'))
  const stored = readFileSync(join(config.runtime, 'bgtask.sqlite'), 'latin1')
  assert.ok(stored.includes('canary'))
  assert.ok(stored.includes(createHash('sha256').update(secret).digest('hex')))
  for (const form of [secret, Buffer.from(secret, 'base64url').toString('hex'), Buffer.from(secret, 'base64url').toString('latin1')])
    assert.ok(!stored.includes(form))
})

test('making and revoking is in the audit before it is done, and is not done without', async t => {
  const db = await open(t)
  const { token } = await makeToken(db, kim, { name: 'deploy', scopes: ['loop:restart', 'task:add:a/*'], lifeMs: 'never' })
  await revokeToken(db, { ...kim, name: 'lee' }, token.id)
  const acts = (await listAudit(db, { limit: 10 })).map(({ act, userName, ip, via, subject, detail }) => [
    act,
    userName,
    ip,
    via,
    subject,
    detail,
  ])
  assert.deepEqual(acts, [
    ['token-revoked', 'lee', '10.0.0.1', 'form', `deploy (token ${token.id})`, null],
    ['token-made', 'kim', '10.0.0.1', 'form', 'deploy', 'loop:restart task:add:a/*; never expires'],
  ])
  const kept = await makeToken(db, kim, { name: 'kept', scopes: ['task:read'] })
  await db.kysely.executeQuery(CompiledQuery.raw('DROP TABLE bg_audit'))
  await assert.rejects(makeToken(db, kim, { name: 'unseen', scopes: ['task:read'] }), /audit cannot be written/)
  await assert.rejects(revokeToken(db, kim, kept.token.id), /audit cannot be written/)
  assert.deepEqual(
    (await shownTokens(db, { limit: 10 })).map(({ name, state }) => [name, state]),
    [
      ['kept', 'active'],
      ['deploy', 'revoked'],
    ],
  )
})

test('the secret is compared in a time that tells nothing of it', () => {
  const source = readFileSync(join(import.meta.dirname, '..', '..', 'app', 'api', 'tokens.ts'), 'utf8')
  // One comparison, also for a token that does not exist, and no other one near a hash.
  assert.equal(source.match(/timingSafeEqual\(/g)?.length, 1)
  assert.doesNotMatch(
    source,
    /(?:hash|secret|parts\[2\]!?)\s*[!=]==?|[!=]==?\s*(?:token\.hash|secret|parts\[2\])|localeCompare|\.hash\.(?:startsWith|includes)/i,
  )
  const store = readFileSync(join(import.meta.dirname, '..', '..', 'app', 'store', 'tokens.ts'), 'utf8')
  // By its hash it is looked for where it was just stored, and nowhere on the way in.
  assert.equal(store.match(/'token_hash', '='/g)?.length, 1)
})
