import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { hashPassword } from '../../app/api/hash-password.ts'
import { removeUser, setRole } from '../../app/store/change-user.ts'
import { turnOnSecondFactor } from '../../app/store/second-factor.ts'
import { findToken, insertToken } from '../../app/store/tokens.ts'
import { findUser } from '../../app/store/users.ts'
import { routeRoles } from '../../app/web/roles.ts'
import { password } from '../helpers/browser.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { newUser } from '../helpers/new-user.ts'
import { ageProof } from '../helpers/open-panel.ts'
import { until } from '../helpers/scene.ts'
import { watchLive } from './watch-live.ts'

const users = '/admin/config/users'
const newPassword = 'an anchor below the harbour'
let panel: ListeningPanel
let admin: SignedIn
let count = 0
/** Somebody whom each test may do with as it likes. */
let eva: { id: number; name: string }

before(async () => {
  panel = await listenPanel()
  admin = await panel.signIn('admin')
})
after(() => panel.close())
beforeEach(async () => {
  eva = await newUser(panel.background.db, { name: `eva${++count}`, role: 'operator' })
})

const get = (url: string, as: SignedIn | null = admin) => panel.ask({ url, as })
const post = (url: string, body: Record<string, string> = {}, as: SignedIn | null = admin, from = '127.0.0.1') =>
  panel.ask({ method: 'POST', url, body, as, from })
const change = (noun: string, body: Record<string, string> = {}, as: SignedIn = admin) => post(`${users}/${eva.id}/${noun}`, body, as)
const isSignedIn = async (as: SignedIn) => (await get('/admin/account', as)).status === 200
const roleOf = async (name: string) => (await findUser(panel.background.db, name))?.role
const rowsOf = (act: string, subject: string) =>
  panel.sql('SELECT user_name, detail FROM bg_audit WHERE act = ? AND subject = ? ORDER BY id', act, subject).map(row => ({ ...row }))
/** What there is of people: nothing of it may change by what is refused. */
const people = () =>
  JSON.stringify([
    panel.sql('SELECT * FROM bg_user ORDER BY id'),
    panel.sql('SELECT * FROM bg_token ORDER BY id'),
    panel.sql('SELECT id_hash, user_id FROM bg_session WHERE user_id IS NOT NULL ORDER BY id_hash'),
  ])

const nouns = ['role', 'password', 'session-end', 'sessions-end', 'second-factor-reset', 'removal']
const everything = {
  name: 'mallory',
  role: 'admin',
  password: newPassword,
  repeated: newPassword,
}

test('only administrators come to the pages about users, and nobody else changes anything there', async () => {
  const changes = Object.keys(routeRoles).filter(route => route.startsWith(`POST ${users}`))
  assert.deepEqual(changes.sort(), [`POST ${users}`, ...nouns.map(noun => `POST ${users}/:id/${noun}`)].sort())
  const [operator, viewer] = [await panel.signIn('operator'), await panel.signIn('viewer')]
  const self = (await findUser(panel.background.db, 'operator'))!
  const before = people()
  for (const who of [operator, viewer]) {
    for (const page of [users, `${users}/new`, `${users}/${eva.id}`, `${users}/${self.id}`])
      assert.equal((await get(page, who)).status, 403, page)
    for (const id of [eva.id, self.id]) {
      for (const route of changes) {
        const answer = await post(route.slice(5).replace(':id', String(id)), { ...everything, session: admin.hash }, who)
        assert.equal(answer.status, 403, route)
        assert.match(answer.body, /needs the role/)
      }
    }
  }
  for (const route of changes) {
    assert.equal((await post(route.slice(5).replace(':id', String(eva.id)), everything, null)).status, 401)
    const stolen = await post(route.slice(5).replace(':id', String(eva.id)), everything, { ...admin, csrf: viewer.csrf })
    assert.equal(stolen.status, 403, 'a token of another session')
  }
  assert.equal(people(), before)
  assert.equal((await get(users, null)).status, 303)
  const menu = async (who: SignedIn) => (await get('/admin/account', who)).body.includes(`href="${users}"`)
  assert.deepEqual([await menu(admin), await menu(operator), await menu(viewer)], [true, false, false])
})

test('a user is added, shown, and signs in; a name, role or password that cannot be gets a sentence and adds nobody', async () => {
  const added = await post(users, { name: ' Grace@Example.com ', role: 'operator', password: newPassword, repeated: newPassword })
  const grace = (await findUser(panel.background.db, 'grace@example.com'))!
  assert.deepEqual([added.status, added.headers.location, grace.role], [303, `${users}/${grace.id}`, 'operator'])
  assert.match((await get(`${users}/${grace.id}`)).body, /grace@example\.com is added/)
  const signedIn = await panel.signIn('grace@example.com', { password: newPassword })
  assert.equal((await get(users, signedIn)).status, 403)
  const list = (await get(users)).body
  for (const said of ['grace@example.com', 'Operator', 'Administrator', '>You<']) assert.ok(list.includes(said), said)
  assert.deepEqual(rowsOf('user-added', 'grace@example.com'), [{ user_name: 'admin', detail: 'operator' }])

  const before = people()
  const refused: [Record<string, string>, number, RegExp][] = [
    ...[
      '',
      ' ',
      '<script>alert(1)</script>',
      'a b',
      '-x',
      'ä',
      'a/../b',
      '\u202eadmin',
      'a\0b',
      'x'.repeat(65),
      "x' OR 1=1 --",
      '__proto__',
    ].map((name): [Record<string, string>, number, RegExp] => [{ name }, 422, /user name has to be/]),
    ...['', 'root', 'Admin', 'admin ', '__proto__', 'constructor', '0'].map((role): [Record<string, string>, number, RegExp] => [
      { role },
      422,
      /Choose one of the roles/,
    ]),
    [{ name: 'GRACE@example.com' }, 409, /a user of this name already/],
    [{ password: 'short', repeated: 'short' }, 422, /at least 12/],
    [{ password: 'mallory-mallory', repeated: 'mallory-mallory' }, 422, /easy to guess/],
    [{ repeated: `${newPassword} ` }, 422, /differ/],
    [{ password: '', repeated: '' }, 422, /Type the new password/],
  ]
  for (const [index, [fields, status, sentence]] of refused.entries()) {
    const answer = await post(users, { ...everything, ...fields }, admin, `127.0.1.${1 + (index % 4)}`)
    assert.equal(answer.status, status, JSON.stringify(fields))
    assert.match(answer.body, sentence, JSON.stringify(fields))
    assert.doesNotMatch(answer.body, /<script>alert|\\n +at /)
    assert.ok(!answer.body.includes(newPassword), 'a password is never sent back')
  }
  assert.equal(people(), before)
})

test('an address of nobody is of nobody', async () => {
  for (const id of ['999999', '0', '-1', '1e3', '1.0', 'x', '9'.repeat(40), '%00', '..%2f1', '__proto__', ' 1']) {
    const answer = await get(`${users}/${encodeURI(id)}`)
    assert.ok([400, 404].includes(answer.status), `${id}: ${answer.status}`)
    for (const noun of nouns)
      assert.ok([400, 404].includes((await post(`${users}/${encodeURI(id)}/${noun}`, everything)).status), `${id} ${noun}`)
  }
})

test('another role holds at the next request of open sessions, and their live streams end', async () => {
  const session = await panel.signIn(eva.name)
  assert.equal((await get('/admin/core/bgtask/new', session)).status, 200)
  const watched = await watchLive(panel, session)
  assert.equal((await change('role', { role: 'viewer' })).status, 303)
  await watched.ended
  assert.equal((await get('/admin/core/bgtask/new', session)).status, 403)
  assert.ok(await isSignedIn(session))
  assert.equal((await change('role', { role: 'admin' })).status, 303)
  assert.equal((await get(users, session)).status, 200)
  // A promotion that is taken back is taken back at once as well.
  assert.equal((await change('role', { role: 'operator' })).status, 303)
  assert.equal((await change('role', { role: 'admin' }, session)).status, 403)
  assert.deepEqual(
    rowsOf('user-role', eva.name).map(({ detail }) => detail),
    ['operator to viewer', 'viewer to admin', 'admin to operator'],
  )
  for (const role of ['', 'root', 'admin,viewer', '__proto__']) {
    const answer = await change('role', { role })
    assert.equal(answer.status, 422)
    assert.match(answer.body, /Choose one of the roles/)
  }
  assert.equal(await roleOf(eva.name), 'operator')
})

test('nobody changes themselves there, and so the last administrator stays', async () => {
  const self = (await findUser(panel.background.db, 'admin'))!
  for (const row of panel.sql("SELECT id FROM bg_user WHERE role = 'admin' AND name <> 'admin'"))
    panel.sql("UPDATE bg_user SET role = 'viewer' WHERE id = ?", Number(row.id))
  const before = people()
  for (const noun of nouns) {
    const answer = await post(`${users}/${self.id}/${noun}`, { ...everything, role: 'viewer', session: admin.hash })
    assert.equal(answer.status, 409, noun)
    assert.match(answer.body, /This is you/)
  }
  assert.equal(people(), before)
  const page = (await get(`${users}/${self.id}`)).body
  assert.doesNotMatch(page, new RegExp(`action="${users}/${self.id}/`))
})

test('two administrators who demote each other at the same moment: one is left', async () => {
  const other = await newUser(panel.background.db, { name: `zoe${count}`, role: 'admin' })
  const boss = await newUser(panel.background.db, { name: `boss${count}`, role: 'admin' })
  const sessions = [await panel.signIn(other.name), await panel.signIn(boss.name)]
  panel.sql("UPDATE bg_user SET role = 'viewer' WHERE role = 'admin' AND id NOT IN (?, ?)", other.id, boss.id)
  try {
    const answers = await Promise.all([
      post(`${users}/${boss.id}/role`, { role: 'viewer' }, sessions[0]!),
      post(`${users}/${other.id}/role`, { role: 'viewer' }, sessions[1]!),
    ])
    const statuses = answers.map(({ status }) => status).sort()
    assert.equal(statuses[0], 303, JSON.stringify(statuses))
    assert.ok([403, 409].includes(statuses[1]!), JSON.stringify(statuses))
    assert.equal(panel.sql("SELECT id FROM bg_user WHERE role = 'admin'").length, 1)
  } finally {
    panel.sql("UPDATE bg_user SET role = 'admin' WHERE name = 'admin'")
  }
})

/** Keeps the queue of passwords full; whoever comes now waits for a second or two. */
const holdQueue = () => {
  const held = { over: false, done: Promise.resolve() as Promise<unknown> }
  held.done = Promise.all(Array.from({ length: 8 }, () => hashPassword('x'))).then(() => {
    held.over = true
  })
  return held
}

for (const way of ['demoted', 'removed'] as const) {
  test(`who is ${way} while a password waits to be hashed makes no users, passwords and tokens with it`, async () => {
    const { db } = panel.background
    const by = (await findUser(db, 'admin'))!.id
    const late = `late${count}`
    const isNoted = (act: string, subject: string) => until(`${act} has begun`, () => rowsOf(act, subject).length > 0)
    const requests: {
      path: (id: number) => string
      fields: Record<string, string>
      old?: true
      begun: (id: number) => Promise<unknown>
    }[] = [
      { path: () => users, fields: { ...everything, name: late }, begun: () => isNoted('user-added', late) },
      {
        path: () => `${users}/${eva.id}/password`,
        fields: { password: newPassword, repeated: newPassword },
        begun: () => isNoted('password-changed', eva.name),
      },
      // Here it is their own password that is looked at.
      ...[
        { path: '/admin/config/tokens', fields: { name: late, scope: 'task:read' } },
        { path: `${users}/${eva.id}/second-factor-reset`, fields: {} },
        { path: `${users}/${eva.id}/sessions-end`, fields: {} },
      ].map(({ path, fields }) => ({
        path: () => path,
        fields: { ...fields, proof_password: password } as Record<string, string>,
        old: true as const,
        begun: (id: number) =>
          until('the password is looked at', () => panel.sql('SELECT 1 FROM bg_login_failure WHERE subject = ?', `proof:${id}`).length > 0),
      })),
    ]
    await turnOnSecondFactor(db, eva.id, { secret: 'JBSWY3DPEHPK3PXP', step: 1, codeHashes: ['one'] })
    const evas = () => JSON.stringify(panel.sql('SELECT * FROM bg_user WHERE id = ?', eva.id))
    const before = evas()
    for (const [index, { path, fields, old, begun }] of requests.entries()) {
      // Each once: hashing takes its time.
      if ((index % 2 === 0) !== (way === 'demoted')) continue
      const boss = await newUser(db, { name: `boss${count}-${index}`, role: 'admin' })
      const session = await panel.signIn(boss.name)
      if (old) ageProof(panel, session, 300_001)
      const held = holdQueue()
      const answer = post(path(boss.id), fields, session, `127.0.2.${index + 1}`)
      await begun(boss.id)
      const change = { id: boss.id, by, now: Date.now() }
      assert.equal(typeof (await (way === 'demoted' ? setRole(db, { ...change, role: 'viewer' }) : removeUser(db, change))), 'object')
      assert.equal(held.over, false, 'it was still waiting')
      const { status, body } = await answer
      assert.equal(status, 403, `${path(0)}: ${body}`)
      assert.match(body, /no administrator any more, so nothing was changed/)
      await held.done
      assert.deepEqual(panel.sql('SELECT id FROM bg_token WHERE created_by = ?', boss.name), [])
    }
    assert.equal(await findUser(db, late), null)
    assert.equal(evas(), before)
    assert.equal(rowsOf('user-added-failed', late).length, rowsOf('user-added', late).length)
  })
}

test('a removed user is out at once: sessions, streams, the login, and the tokens they made', async () => {
  const session = await panel.signIn(eva.name)
  const watched = await watchLive(panel, session)
  const token = await insertToken(panel.background.db, {
    name: 'deploy',
    hash: `h${count}`,
    scopes: [],
    createdBy: eva.name,
    createdAt: Date.now(),
    expiresAt: null,
  })
  const page = (await get(`${users}/${eva.id}`)).body
  assert.match(page, /1 open session ends at once, and 1 token made by them is revoked/)
  const answer = await change('removal')
  assert.deepEqual([answer.status, answer.headers.location], [303, users])
  await watched.ended
  assert.match((await get(users)).body, new RegExp(`${eva.name} is removed: 1 session has ended, 1 token is revoked`))
  assert.equal(await isSignedIn(session), false)
  await assert.rejects(panel.signIn(eva.name), /401/)
  assert.equal((await findToken(panel.background.db, token))?.revokedBy, 'admin')
  assert.equal((await change('removal')).status, 404)
  assert.equal((await get(`${users}/${eva.id}`)).status, 404)
  assert.deepEqual(rowsOf('user-removed', eva.name), [{ user_name: 'admin', detail: 'operator' }])
})

test('an administrator who becomes less loses the tokens they made', async () => {
  const token = await insertToken(panel.background.db, {
    name: 'deploy',
    hash: `d${count}`,
    scopes: [],
    createdBy: eva.name,
    createdAt: Date.now(),
    expiresAt: null,
  })
  await change('role', { role: 'admin' })
  assert.equal((await findToken(panel.background.db, token))?.revokedAt, null)
  await change('role', { role: 'operator' })
  assert.equal((await findToken(panel.background.db, token))?.revokedBy, 'admin')
  assert.match((await get(`${users}/${eva.id}`)).body, /1 token made by them is revoked/)
})

test('a new password for somebody ends their sessions and lets them in; a weak one is refused with a sentence', async () => {
  const session = await panel.signIn(eva.name)
  const watched = await watchLive(panel, session)
  for (const [fields, sentence] of [
    [{ password: newPassword, repeated: 'another' }, /differ/],
    [{ password: 'short', repeated: 'short' }, /at least 12/],
    [{}, /Type the new password/],
  ] as const) {
    const answer = await change('password', fields)
    assert.equal(answer.status, 422)
    assert.match(answer.body, sentence)
  }
  assert.ok(watched.isOpen() && (await isSignedIn(session)))
  assert.equal((await change('password', { password: newPassword, repeated: newPassword })).status, 303)
  await watched.ended
  assert.equal(await isSignedIn(session), false)
  await assert.rejects(panel.signIn(eva.name), /401/)
  await panel.signIn(eva.name, { password: newPassword })
  assert.deepEqual(rowsOf('password-changed', eva.name), [{ user_name: 'admin', detail: null }])
})

test('sessions of somebody: one is ended, all are; one that is not theirs is not', async () => {
  const sessions = [await panel.signIn(eva.name), await panel.signIn(eva.name), await panel.signIn(eva.name)]
  const [first, second, third] = sessions as [SignedIn, SignedIn, SignedIn]
  const viewer = await panel.signIn('viewer')
  for (const session of [viewer.hash, admin.hash, '', 'x']) assert.equal((await change('session-end', { session })).status, 404)
  assert.deepEqual([await isSignedIn(viewer), await isSignedIn(admin)], [true, true])
  const watched = await watchLive(panel, first)
  assert.equal((await change('session-end', { session: first.hash })).status, 303)
  await watched.ended
  assert.deepEqual([await isSignedIn(first), await isSignedIn(second)], [false, true])
  const streams = await Promise.all([second, third].map(session => watchLive(panel, session)))
  assert.equal((await change('sessions-end')).status, 303)
  await Promise.all(streams.map(({ ended }) => ended))
  assert.deepEqual([await isSignedIn(second), await isSignedIn(third), await isSignedIn(viewer)], [false, false, true])
  assert.match((await get(`${users}/${eva.id}`)).body, /2 sessions of eva\d+ have ended/)
  assert.equal(rowsOf('session-ended', eva.name).length, 1)
  assert.equal(rowsOf('sessions-ended', eva.name).length, 1)
})

test('who is demoted in the very moment in which they end sessions of somebody ends none', async () => {
  const session = await panel.signIn(eva.name)
  const boss = await newUser(panel.background.db, { name: `boss-of-sessions-${count}`, role: 'admin' })
  const asking = await panel.signIn(boss.name)
  // Between the row of the audit and the act itself.
  panel.sql(
    `CREATE TRIGGER demoted AFTER INSERT ON bg_audit WHEN NEW.user_name = '${boss.name}' BEGIN UPDATE bg_user SET role = 'viewer' WHERE id = ${boss.id}; END`,
  )
  try {
    for (const [noun, fields] of [
      ['session-end', { session: session.hash }],
      ['sessions-end', {}],
    ] as [string, Record<string, string>][]) {
      panel.sql("UPDATE bg_user SET role = 'admin' WHERE id = ?", boss.id)
      const { status, body } = await change(noun, fields, asking)
      assert.equal(status, 403, noun)
      assert.match(body, /no administrator any more, so nothing was changed/)
    }
  } finally {
    panel.sql('DROP TRIGGER demoted')
  }
  assert.ok(await isSignedIn(session))
})

test('a second factor is reset: the password alone lets in again, and recovery codes are gone', async () => {
  const { db } = panel.background
  await turnOnSecondFactor(db, eva.id, { secret: 'JBSWY3DPEHPK3PXP', step: 1, codeHashes: ['one', 'two'] })
  assert.match((await get(`${users}/${eva.id}`)).body, /Reset second factor/)
  assert.equal((await change('second-factor-reset')).status, 303)
  assert.equal((await findUser(db, eva.name))?.totpSecret, null)
  assert.deepEqual(panel.sql('SELECT code_hash FROM bg_recovery_code WHERE user_id = ?', eva.id), [])
  assert.ok(await isSignedIn(await panel.signIn(eva.name)))
  assert.doesNotMatch((await get(`${users}/${eva.id}`)).body, /Reset second factor/)
  assert.deepEqual(rowsOf('second-factor-reset', eva.name), [{ user_name: 'admin', detail: null }])
})

test('who has not given the password for more than five minutes is asked for it before anything about users changes', async () => {
  const stale = await panel.signIn('admin')
  const age = () => {
    const { data } = panel.sql('SELECT data FROM bg_session WHERE id_hash = ?', stale.hash)[0]!
    const session = JSON.parse(String(data)) as { provedAt: number }
    assert.ok(session.provedAt > 0)
    panel.sql(
      'UPDATE bg_session SET data = ? WHERE id_hash = ?',
      JSON.stringify({ ...session, provedAt: Date.now() - 5 * 60_000 - 1 }),
      stale.hash,
    )
  }
  age()
  const before = people()
  for (const path of ['', ...nouns.map(noun => `/${eva.id}/${noun}`)]) {
    const answer = await post(`${users}${path}`, { ...everything, session: admin.hash }, stale)
    assert.equal(answer.status, 403, path)
    assert.match(answer.body, /name="proof_password"/, path)
  }
  assert.equal(people(), before)
  const proved = await change('role', { role: 'viewer', proof_password: password }, stale)
  assert.equal(proved.status, 303, proved.body)
  assert.equal(await roleOf(eva.name), 'viewer')
})
