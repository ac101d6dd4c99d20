import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { checkPassword } from '../../app/api/check-password.ts'
import { hashPassword, verifyPassword } from '../../app/api/hash-password.ts'
import { changePassword, checkLogin, createConfiguredAdmin, createFirstUser, createUser } from '../../app/api/users.ts'
import { BgtaskError } from '../../app/errors.ts'
import type { Db } from '../../app/store/database.ts'
import { listUsers } from '../../app/store/users.ts'
import { databases, type makeScene, openScene } from './scene.ts'

const codeIs = (code: BgtaskError['code'], sentence: RegExp) => (error: unknown) =>
  error instanceof BgtaskError && error.code === code && sentence.test(error.message)
const good = 'seven blue herons at dawn'
const other = 'nine green herons at dusk'

for (const database of databases) {
  describe(`users on ${database.name}`, () => {
    const cleaners: (() => unknown)[] = []
    const t = { after: (fn: () => unknown) => void cleaners.unshift(fn) } as Parameters<typeof makeScene>[0]
    let db: Db
    before(async () => {
      const url = await database.url()
      db = (await openScene(t, url ? { databaseUrl: url } : {})).background.db
    })
    after(async () => {
      for (const clean of cleaners) await clean()
    })

    test('the first one, once, whoever tries at the same time', async () => {
      const made = await Promise.all(['admin', 'kim', 'lee'].map(name => createFirstUser(db, { name, password: good })))
      assert.equal(made.filter(Boolean).length, 1)
      assert.equal((await listUsers(db)).length, 1)
      assert.equal(await createConfiguredAdmin(db, { adminPassword: good }), null)
    })

    test('added, logged in, password changed', async () => {
      const user = await createUser(db, { name: ' Maria ', password: good, role: 'viewer' })
      assert.deepEqual([user.name, user.role], ['maria', 'viewer'])
      assert.match(user.passwordHash, /^\$argon2id\$v=19\$m=65536,t=3,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
      assert.equal((await checkLogin(db, 'MARIA', good))?.id, user.id)
      assert.equal(await checkLogin(db, 'maria', `${good} `), null)
      assert.equal(await checkLogin(db, 'nobody', good), null)
      assert.equal(await checkLogin(db, '', ''), null)
      await changePassword(db, 'maria', other)
      assert.equal(await checkLogin(db, 'maria', good), null)
      assert.ok(await checkLogin(db, 'maria', other))
    })

    test('refused', async () => {
      await assert.rejects(createUser(db, { name: 'maria', password: good, role: 'admin' }), codeIs('conflict', /user maria already/))
      await assert.rejects(
        createUser(db, { name: 'a b', password: good, role: 'admin' }),
        codeIs('refused', /user name is "a b"; allowed are/),
      )
      await assert.rejects(
        createUser(db, { name: 'x', password: good, role: 'king' as never }),
        codeIs('refused', /role is "king"; allowed are viewer/),
      )
      await assert.rejects(
        createUser(db, { name: 'x', password: 'short', role: 'admin' }),
        codeIs('refused', /has 5 characters; at least 12/),
      )
      await assert.rejects(changePassword(db, 'nobody', good), codeIs('not-found', /no user "nobody"/))
    })
  })
}

test('BGTASK_ADMIN_PASSWORD that is too weak is misconfigured, and not shown', async t => {
  const { background } = await openScene(t)
  await assert.rejects(
    createConfiguredAdmin(background.db, { adminPassword: 'hunter2' }),
    (error: unknown) => codeIs('misconfigured', /^BGTASK_ADMIN_PASSWORD cannot be used/)(error) && !String(error).includes('hunter2'),
  )
  assert.equal((await createConfiguredAdmin(background.db, { adminPassword: good }))?.name, 'admin')
})

test('passwords that everybody tries are refused', () => {
  const weak = [
    'password1234',
    'Password123!',
    '123456789012',
    'aaaaaaaaaaaa',
    'qwertyuiop12',
    'abcdefghijklm',
    'administrator1',
    'kimkimkimkim',
    'kim-kim-2026-kim',
    'changeme2026!',
    // From lists of what leaked, as they are, with digits and signs around, in leetspeak, repeated.
    'qazwsxedcrfv',
    '1q2w3e4r5t6y',
    'chickenwing101',
    '!!Supernatural2026!!',
    '2026sunshine2026',
    'P@$$w0rd!2026',
    'dr4g0n2026!!',
    'letmeinletmein',
    'trustno1trustno1',
    'abcabcabcabc',
    'zyxwvutsrqponm',
    'adminadminadmin',
    'correct horse battery staple',
    '            ',
    '\0'.repeat(12),
  ]
  for (const password of weak) assert.throws(() => checkPassword(password, 'kim'), codeIs('refused', /The password/), password)
  for (const password of [good, 'Tr0ub4dor&3-x9', '我的密码很长很长很长很长', 'kim likes 7 blue herons', 'a1b2c3d4e5f6'])
    checkPassword(password, 'kim')
})

test('the same password in another Unicode form fits, a known vector too, and no more than two are hashed at once', {
  timeout: 60_000,
}, async () => {
  const hash = await hashPassword('caf\u00e9 au lait, s\u2019il vous pla\u00eet')
  assert.equal(await verifyPassword('cafe\u0301 au lait, s\u2019il vous plai\u0302t', hash), true)
  assert.equal(await verifyPassword('anything', null), false)
  const began = performance.now()
  await hashPassword(good)
  const one = performance.now() - began
  const unknown = performance.now()
  await verifyPassword(good, null)
  assert.ok(performance.now() - unknown > one / 4, 'an unknown user takes the same work')
  // From the test vectors of the reference implementation (phc-winner-argon2, src/test.c).
  assert.equal(
    await verifyPassword('password', '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'),
    true,
  )
  const before = process.memoryUsage().rss
  let peak = 0
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5)
  await Promise.all(Array.from({ length: 8 }, () => hashPassword(good)))
  clearInterval(watch)
  assert.ok(peak - before < 200e6, `${Math.round((peak - before) / 1e6)} MB more`)
})
