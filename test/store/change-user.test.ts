import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { appendAudit } from '../../app/store/audit.ts'
import { removeUser, setRole } from '../../app/store/change-user.ts'
import type { Db } from '../../app/store/database.ts'
import { findPerson, listPeople } from '../../app/store/list-people.ts'
import { NotAdmin } from '../../app/store/lock-users.ts'
import { migrate } from '../../app/store/migrate.ts'
import { turnOffSecondFactor, turnOnSecondFactor } from '../../app/store/second-factor.ts'
import {
  deleteSessionOf,
  deleteSessionsOf,
  findSession,
  listSessions,
  type Session,
  saveSession,
  touchSession,
  updateSession,
} from '../../app/store/sessions.ts'
import { findToken, insertToken, listTokens, revokeToken } from '../../app/store/tokens.ts'
import { findUser, insertUser, setPassword, type User } from '../../app/store/users.ts'
import { dialects, reopen } from './dialects.ts'

const addUser = async (db: Db, name: string, role: User['role'], createdAt = 1): Promise<number> => {
  await insertUser(db, { name, role, passwordHash: `hash of ${name}`, createdAt })
  return (await findUser(db, name))!.id
}
const session = (idHash: string, userId: number | null, more: Partial<Session> = {}): Session => ({
  idHash,
  userId,
  data: '{}',
  expiresAt: 1_000,
  createdAt: 10,
  seenAt: 20,
  ip: null,
  userAgent: null,
  ...more,
})
const addToken = (db: Db, createdBy: string, hash: string, expiresAt: number | null = null) =>
  insertToken(db, { name: hash, hash, scopes: [], createdBy, createdAt: 1, expiresAt })

for (const dialect of dialects) {
  describe(`users and their sessions on ${dialect.name}`, { skip: dialect.skip }, async () => {
    if (dialect.skip) return
    const url = await dialect.newUrl()
    const empty = async () => {
      for (const table of ['bg_user', 'bg_session', 'bg_token', 'bg_recovery_code'] as const) await db.kysely.deleteFrom(table).execute()
    }
    const db = await reopen(url)
    await migrate(db)

    test('two administrators who demote or remove each other at once, from two connections: one is left, each time', async () => {
      const other = await reopen(url)
      const acts = {
        demote: (on: Db, id: number, by: number) => setRole(on, { id, by, now: 5, role: 'viewer' }),
        remove: (on: Db, id: number, by: number) => removeUser(on, { id, by, now: 5 }),
      }
      const ways = [
        [acts.demote, acts.demote],
        [acts.remove, acts.remove],
        [acts.demote, acts.remove],
      ] as const
      for (let round = 0; round < 30; round++) {
        await empty()
        const [ann, ben] = [await addUser(db, 'ann', 'admin'), await addUser(db, 'ben', 'admin')]
        const [first, second] = ways[round % 3]!
        const answers = await Promise.all([first(db, ben, ann), second(other, ann, ben)])
        assert.equal(answers.filter(answer => typeof answer === 'object').length, 1, JSON.stringify(answers))
        assert.ok(answers.some(answer => answer === 'not-admin'))
        assert.equal((await listPeople(db, 0)).filter(({ role }) => role === 'admin').length, 1)
      }
    })

    const newUser = (name: string) => ({ name, role: 'admin' as const, passwordHash: `hash of ${name}`, createdAt: 1 })
    const newToken = (hash: string, createdBy: string) => ({ name: hash, hash, scopes: [], createdBy, createdAt: 1, expiresAt: null })

    test('who is no administrator any more makes no users and tokens, and changes nothing of others', async () => {
      await empty()
      const [ann, demoted, removed, vera] = [
        await addUser(db, 'ann', 'admin'),
        await addUser(db, 'demoted', 'admin'),
        await addUser(db, 'removed', 'admin'),
        await addUser(db, 'vera', 'viewer'),
      ]
      await turnOnSecondFactor(db, vera, { secret: 'S', step: 1, codeHashes: ['one'] })
      await saveSession(db, session('of vera', vera))
      const token = await addToken(db, 'ann', 'of ann')
      await setRole(db, { id: demoted, by: ann, now: 5, role: 'operator' })
      await removeUser(db, { id: removed, by: ann, now: 5 })
      const acts = (userId: number): (() => Promise<unknown>)[] => [
        () => insertUser(db, newUser('mallory'), { userId }),
        () => insertToken(db, newToken('stolen', 'demoted'), { userId }),
        () => setPassword(db, 'vera', 'new', 9, undefined, { userId }),
        () => turnOffSecondFactor(db, vera, { userId }),
        () => revokeToken(db, token, 'demoted', 9, { userId }),
      ]
      const all = async () => JSON.stringify([await listPeople(db, 0), await listTokens(db, { limit: 9 }), await findUser(db, 'vera')])
      const before = await all()
      for (const userId of [demoted, removed, vera, 999_999]) {
        for (const act of acts(userId)) {
          await assert.rejects(act, (error: unknown) => error instanceof NotAdmin && error.httpStatus === 403, String(act))
        }
      }
      assert.equal(await all(), before)
      assert.ok(await findSession(db, 'of vera'))
      // Who still is one does all of it.
      for (const act of acts(ann)) await act()
      assert.equal((await findUser(db, 'mallory'))?.role, 'admin')
      assert.deepEqual(
        [(await findUser(db, 'vera'))?.passwordHash, (await findUser(db, 'vera'))?.totpSecret, (await findToken(db, token))?.revokedAt],
        ['new', null, 9],
      )
    })

    test('a demotion and what the demoted makes, at once from two connections: it comes before, and its token is revoked, or not at all', async () => {
      const other = await reopen(url)
      for (let round = 0; round < 30; round++) {
        await empty()
        const [ann, ben] = [await addUser(db, 'ann', 'admin'), await addUser(db, 'ben', 'admin')]
        const ending = { id: ben, by: ann, now: 5 }
        const [made, ended] = await Promise.all([
          insertToken(db, newToken('late', 'ben'), { userId: ben }).catch((error: unknown) => error),
          round % 2 === 0 ? setRole(other, { ...ending, role: 'viewer' }) : removeUser(other, ending),
        ])
        const tokens = await listTokens(db, { limit: 9 })
        if (made instanceof NotAdmin) assert.deepEqual(tokens, [])
        else assert.deepEqual([tokens.map(({ id }) => id), tokens[0]?.revokedAt], [[made], 5])
        assert.equal(typeof ended === 'object' && ended.tokens, tokens.length)
      }
    })

    test('the command line, which is nobody, does not take the last administrator either, also many at once', async () => {
      await empty()
      const ids = [await addUser(db, 'ann', 'admin'), await addUser(db, 'ben', 'admin'), await addUser(db, 'cleo', 'admin')]
      await addUser(db, 'vera', 'viewer')
      const answers = await Promise.all(
        ids.map((id, index) =>
          index === 1 ? removeUser(db, { id, by: null, now: 5 }) : setRole(db, { id, by: null, now: 5, role: 'operator' }),
        ),
      )
      assert.deepEqual(
        answers.filter(answer => typeof answer === 'string'),
        ['last-admin'],
      )
      const admin = (await listPeople(db, 0)).find(({ role }) => role === 'admin')!
      assert.equal(await removeUser(db, { id: admin.id, by: null, now: 5 }), 'last-admin')
      assert.equal(await setRole(db, { id: admin.id, by: null, now: 5, role: 'viewer' }), 'last-admin')
      assert.equal(typeof (await setRole(db, { id: admin.id, by: null, now: 5, role: 'admin' })), 'object')
    })

    test('nobody changes their own role, only administrators change others, and who is gone is gone', async () => {
      await empty()
      const [ann, otto, vera] = [
        await addUser(db, 'ann', 'admin'),
        await addUser(db, 'otto', 'operator'),
        await addUser(db, 'vera', 'viewer'),
      ]
      await addUser(db, 'ben', 'admin')
      assert.equal(await setRole(db, { id: ann, by: ann, now: 5, role: 'viewer' }), 'yourself')
      assert.equal(await removeUser(db, { id: ann, by: ann, now: 5 }), 'yourself')
      assert.equal(await setRole(db, { id: vera, by: otto, now: 5, role: 'admin' }), 'not-admin')
      assert.equal(await removeUser(db, { id: vera, by: otto, now: 5 }), 'not-admin')
      assert.equal(await setRole(db, { id: vera, by: 999_999, now: 5, role: 'admin' }), 'not-admin')
      assert.equal(await removeUser(db, { id: 999_999, by: ann, now: 5 }), 'gone')
      assert.deepEqual(
        (await listPeople(db, 0)).map(({ name, role }) => `${name} ${role}`),
        ['ann admin', 'ben admin', 'otto operator', 'vera viewer'],
      )
    })

    test('a removed user leaves no session, code or working token behind; others keep theirs', async () => {
      await empty()
      const [ann, otto] = [await addUser(db, 'ann', 'admin'), await addUser(db, 'otto', 'operator')]
      await turnOnSecondFactor(db, otto, { secret: 'S', step: 1, codeHashes: ['a', 'b'] })
      await saveSession(db, session('o1', otto))
      await saveSession(db, session('o2', otto, { expiresAt: 4 }))
      await saveSession(db, session('a1', ann))
      const tokens = [await addToken(db, 'otto', 'one'), await addToken(db, 'ann', 'two')]
      const person = (await findPerson(db, otto, 5))!
      assert.deepEqual([person.sessions, person.tokens, person.secondFactor], [1, 1, true])
      assert.deepEqual(await removeUser(db, { id: otto, by: ann, now: 5 }), { sessions: ['o1'], tokens: 1 })
      assert.equal(await findUser(db, 'otto'), null)
      assert.deepEqual([await findSession(db, 'o1'), await findSession(db, 'o2')], [null, null])
      assert.equal((await findSession(db, 'a1'))?.userId, ann)
      assert.deepEqual(await db.kysely.selectFrom('bg_recovery_code').selectAll().execute(), [])
      const [gone, kept] = await Promise.all(tokens.map(id => findToken(db, id)))
      assert.deepEqual([gone?.revokedAt, gone?.revokedBy, kept?.revokedAt], [5, 'ann', null])
    })

    test('an administrator who becomes less loses the tokens they made; another change of role costs nothing', async () => {
      await empty()
      const [ann, ben] = [await addUser(db, 'ann', 'admin'), await addUser(db, 'ben', 'admin')]
      await addUser(db, 'cleo', 'admin')
      await saveSession(db, session('b1', ben))
      const token = await addToken(db, 'ben', 'three')
      assert.deepEqual(await setRole(db, { id: ben, by: ann, now: 5, role: 'admin' }), { sessions: ['b1'], tokens: 0 })
      assert.equal((await findToken(db, token))?.revokedAt, null)
      assert.deepEqual(await setRole(db, { id: ben, by: ann, now: 6, role: 'operator' }), { sessions: ['b1'], tokens: 1 })
      assert.deepEqual([(await findToken(db, token))?.revokedAt, (await findToken(db, token))?.revokedBy], [6, 'ann'])
      assert.equal((await findSession(db, 'b1'))?.userId, ben)
    })

    test('people: open sessions and working tokens are counted, the last login is that of this user and not of one before', async () => {
      await empty()
      const ann = await addUser(db, 'ann', 'admin', 100)
      const login = (at: number, userName: string, act = 'login') =>
        appendAudit(db, { at, userName, ip: null, via: 'form', act, subject: null, detail: null })
      await login(50, 'ann')
      const person = async (now = 500) => (await findPerson(db, ann, now))!
      assert.equal((await person()).lastLoginAt, null)
      await login(150, 'ann')
      await login(170, 'ben')
      await login(180, 'ann', 'logout')
      assert.equal((await person()).lastLoginAt, 150)
      await login(190, 'ann', 'second-factor-on')
      assert.equal((await person()).secondFactorSince, null, 'what is off has been on since never')
      await turnOnSecondFactor(db, ann, { secret: 'S', step: 1, codeHashes: ['c'] })
      assert.equal((await person()).secondFactorSince, 190)
      for (const [id, expiresAt] of [
        ['p1', 400],
        ['p2', 600],
        ['p3', 700],
      ] as const)
        await saveSession(db, session(id, ann, { expiresAt }))
      await addToken(db, 'ann', 'four', 400)
      await addToken(db, 'ann', 'five', 600)
      assert.deepEqual([(await person()).sessions, (await person()).tokens], [2, 1])
      assert.deepEqual(await listPeople(db, 500), [await person()])
      assert.equal(await findPerson(db, 999_999, 500), null)
    })

    test('sessions: each is listed with where it is used, ended only as its owner’s, and what was ended stays ended', async () => {
      await empty()
      await saveSession(db, session('s1', 7, { seenAt: 30, ip: '10.0.0.1', userAgent: 'x'.repeat(400) }))
      await saveSession(db, session('s2', 7, { seenAt: 40 }))
      await saveSession(db, session('s3', 7, { expiresAt: 100 }))
      await saveSession(db, session('s4', 8))
      const open = await listSessions(db, 7, { now: 100, limit: 10 })
      assert.deepEqual(
        open.map(({ idHash, ip, userAgent }) => [idHash, ip, userAgent]),
        [
          ['s2', null, null],
          ['s1', '10.0.0.1', 'x'.repeat(255)],
        ],
      )
      await touchSession(db, 's1', { seenAt: 99, expiresAt: 1_099 })
      assert.deepEqual(await findSession(db, 's1'), { ...open[1]!, seenAt: 99, expiresAt: 1_099 })
      const { createdAt: _, ip: __, userAgent: ___, ...plain } = session('s1', 7, { data: '{"x":1}' })
      await updateSession(db, plain)
      assert.deepEqual([(await findSession(db, 's1'))?.data, (await findSession(db, 's1'))?.ip], ['{"x":1}', '10.0.0.1'])

      assert.equal(await deleteSessionOf(db, 8, 's1'), false)
      assert.equal(await deleteSessionOf(db, 7, 's1'), true)
      assert.equal(await deleteSessionOf(db, 7, 's1'), false)
      // What a request that was under way does at its end.
      await updateSession(db, plain)
      await touchSession(db, 's1', { seenAt: 100, expiresAt: 1_100 })
      assert.equal(await findSession(db, 's1'), null)
      assert.equal((await listSessions(db, 7, { now: 0, limit: 1 })).length, 1)
      assert.deepEqual(await deleteSessionsOf(db, 7, 's2'), ['s3'])
      assert.deepEqual([(await findSession(db, 's2'))?.userId, (await findSession(db, 's4'))?.userId], [7, 8])
    })

    test('what a browser calls itself is kept as far as any database takes it', async () => {
      for (const userAgent of ['a\0b', '\ud800', '\ud83d\ude00'.repeat(200), "'; DROP TABLE bg_session; --", '\u202e', '']) {
        await saveSession(db, session('hostile', 7, { userAgent }))
        const kept = (await findSession(db, 'hostile'))?.userAgent ?? ''
        assert.ok(kept.length <= 255 && kept.isWellFormed() && !kept.includes('\0'), JSON.stringify(kept))
      }
    })
  })
}
