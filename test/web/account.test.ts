import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { noteAct } from '../../app/api/audited.ts'
import { turnOnSecondFactor } from '../../app/store/second-factor.ts'
import { findUser } from '../../app/store/users.ts'
import { password } from '../helpers/browser.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { newUser } from '../helpers/new-user.ts'
import { holdStill } from '../helpers/open-panel.ts'
import { until } from '../helpers/scene.ts'
import { watchLive } from './watch-live.ts'

let panel: ListeningPanel
let count = 0
/** A user of their own for each test, so that none is delayed by what another one tried. */
let name = ''

before(async () => {
  panel = await listenPanel()
})
after(() => panel.close())
beforeEach(async () => {
  name = `ada${++count}`
  await newUser(panel.background.db, { name, role: 'viewer' })
})

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const page = (as: SignedIn, headers: Record<string, string> = {}) => panel.ask({ url: '/admin/account', as, headers })
const post = (as: SignedIn, path: string, body: Record<string, string> = {}) =>
  panel.ask({ method: 'POST', url: `/admin/account${path}`, as, body })
const isSignedIn = async (as: SignedIn) => (await page(as)).status === 200
const acts = (act: string) => panel.sql('SELECT user_name, subject, detail FROM bg_audit WHERE act = ? ORDER BY id', act)

test('the account page says who one is and where one is signed in, and nothing that the browser made up', async () => {
  const [here, there] = [await panel.signIn(name, { from: '127.0.0.5' }), await panel.signIn(name)]
  panel.sql('UPDATE bg_session SET user_agent = ? WHERE id_hash = ?', firefox, there.hash)
  panel.sql('UPDATE bg_session SET user_agent = ? WHERE id_hash = ?', '<script>alert(1)</script>', here.hash)
  const { status, body } = await panel.ask({ url: '/admin/account', as: here, from: '127.0.0.5' })
  assert.equal(status, 200)
  for (const said of [
    `<h1>${name}</h1>`,
    'Viewer',
    'Firefox on Linux',
    'Unknown device',
    '127.0.0.5',
    '127.0.0.1',
    'End all others',
    'Second factor',
  ]) {
    assert.ok(body.includes(said), said)
  }
  assert.doesNotMatch(body, /alert\(1\)/)
  assert.equal(body.split('This one').length, 2)
  assert.ok(body.includes(`value="${there.hash}"`))
  assert.ok(!body.includes(`value="${here.hash}"`), 'the own session ends by signing out')
  const chinese = await panel.ask({ url: '/admin/account', as: here, from: '127.0.0.5', headers: { 'accept-language': 'zh-CN' } })
  assert.match(chinese.body, /Linux 上的 Firefox/)
})

test('the card of the second factor says whether it is on, and since when', async () => {
  const here = await panel.signIn(name)
  assert.match((await page(here)).body, /It is off\.[\s\S]*href="\/admin\/account\/second-factor">Set up</)
  const { db } = panel.background
  const { id } = (await findUser(db, name))!
  await noteAct(db, { name, ip: null, via: 'form' }, { act: 'second-factor-on', subject: name })
  await turnOnSecondFactor(db, id, { secret: 'JBSWY3DPEHPK3PXP', step: 1, codeHashes: ['x'] }, here.hash)
  // As the page does it that turns it on: a session without the second factor ends then.
  panel.sql("UPDATE bg_session SET data = json_set(data, '$.secondFactor', json('true')) WHERE id_hash = ?", here.hash)
  assert.match(
    (await page(here)).body,
    /asks for a code[\s\S]*On since <time[^>]*>\d seconds? ago<[\s\S]*href="\/admin\/account\/second-factor">Manage</,
  )
})

test('ending another session of one’s own: its next request is at the login, its live stream ends at once', async () => {
  const [here, there] = [await panel.signIn(name), await panel.signIn(name)]
  const [own, other] = [await watchLive(panel, here), await watchLive(panel, there)]
  const began = performance.now()
  const answer = await post(here, '/session-end', { session: there.hash })
  assert.deepEqual([answer.status, answer.headers.location], [303, '/admin/account'])
  assert.ok((await other.ended) - began < 5_000, 'not only when sessions are looked over')
  assert.equal((await page(there)).status, 303)
  assert.match(String((await page(there)).headers.location), /^\/admin\/login/)
  assert.ok(await isSignedIn(here))
  assert.ok(own.isOpen())
  assert.deepEqual(acts('session-ended').at(-1)?.subject, name)
  // Once more: it is over.
  const again = await post(here, '/session-end', { session: there.hash })
  assert.equal(again.status, 404)
  assert.match(again.body, /no such session/)
})

test('somebody else’s session cannot be ended here, whatever one sends; an administrator’s account page ends none of others either', async () => {
  const [own, victim] = [await panel.signIn(name), await panel.signIn('operator')]
  const admin = await panel.signIn('admin')
  for (const who of [own, admin]) {
    for (const session of [victim.hash, victim.hash.toUpperCase(), '%', '', "' OR 1=1 --", victim.cookie, 'a'.repeat(5_000), '__proto__']) {
      const answer = await post(who, '/session-end', { session })
      assert.equal(answer.status, 404, session)
      assert.doesNotMatch(answer.body, /SQL|\n +at /)
    }
    assert.equal((await post(who, '/sessions-end', { session: victim.hash })).status, 303)
    assert.ok(await isSignedIn(victim))
  }
  for (const as of [own, admin]) assert.ok(await isSignedIn(as))
})

test('ending all others leaves this one, and ending this one is signing out', async () => {
  const [here, ...others] = [await panel.signIn(name), await panel.signIn(name), await panel.signIn(name)]
  const watched = await Promise.all(others.map(other => watchLive(panel, other)))
  assert.equal((await post(here, '/sessions-end')).status, 303)
  await Promise.all(watched.map(({ ended }) => ended))
  for (const other of others) assert.equal(await isSignedIn(other), false)
  assert.match((await page(here)).body, /2 other sessions have ended/)
  assert.deepEqual({ ...acts('sessions-ended').at(-1) }, { user_name: name, subject: name, detail: 'all others' })
  const answer = await post(here, '/session-end', { session: here.hash })
  assert.deepEqual([answer.status, answer.headers.location], [303, '/admin/login'])
  assert.equal(await isSignedIn(here), false)
})

test('a new password: the others end, this one goes on under a new id, the old password opens nothing', async () => {
  const [here, there] = [await panel.signIn(name), await panel.signIn(name)]
  const watched = await watchLive(panel, there)
  const fresh = 'an anchor below the harbour'
  for (const [fields, said] of [
    [{ current: password, password: fresh, repeated: `${fresh}!` }, /two passwords differ/],
    [{ current: password, password: 'short', repeated: 'short' }, /at least 12/],
    [{ current: password, password: `${name}${name}${name}`, repeated: `${name}${name}${name}` }, /easy to guess/],
    [{}, /at least 12/],
  ] as const) {
    const answer = await post(here, '', fields)
    assert.equal(answer.status, 422, answer.body)
    assert.match(answer.body, said)
  }
  const wrong = await post(here, '', { current: 'not it at all', password: fresh, repeated: fresh })
  assert.equal(wrong.status, 401, wrong.body)
  assert.ok(await isSignedIn(there))
  const answer = await post(here, '', { current: password, password: fresh, repeated: fresh })
  assert.equal(answer.status, 303)
  await watched.ended
  assert.deepEqual([await isSignedIn(here), await isSignedIn(there)], [false, false])
  const cookie = (answer.headers['set-cookie'] ?? []).map(text => text.split(';')[0]).join('; ')
  assert.match((await panel.ask({ url: '/admin/account', as: { cookie, csrf: '' } })).body, /password is changed/)
  await assert.rejects(panel.signIn(name), /401/)
  await panel.signIn(name, { password: fresh })
  const rows = acts('password-changed').filter(({ subject }) => subject === name)
  assert.equal(rows.length, 1)
})

test('who has found an open session does not guess the password here faster than at the login', async () => {
  const here = await panel.signIn(name)
  const guess = (n: number) =>
    post(here, '', { current: `guess number ${n}`, password: 'an anchor below the harbour', repeated: 'an anchor below the harbour' })
  const answers: number[] = []
  for (let n = 0; n < 5; n++) answers.push((await guess(n)).status)
  holdStill(panel)
  answers.push((await guess(5)).status)
  assert.deepEqual(answers, [401, 401, 401, 401, 401, 429])
  const late = await post(here, '', { current: password, password: 'an anchor below the harbour', repeated: 'an anchor below the harbour' })
  assert.equal(late.status, 429, 'the right one waits as well')
  assert.ok(Number(late.headers['retry-after']) >= 1)
  assert.ok(await isSignedIn(here), 'and the session itself goes on')
})

test('a request that is under way when its session is ended does not bring it back', async () => {
  const admin = await panel.signIn('admin')
  const added = `late${count}`
  const request = panel.ask({
    method: 'POST',
    url: '/admin/config/users',
    as: admin,
    body: { name: added, role: 'viewer', password: 'an anchor below the harbour', repeated: 'an anchor below the harbour' },
  })
  // Its row is written before the password is hashed, which takes a third of a second.
  await until(
    'the request is under way',
    () => panel.sql('SELECT id FROM bg_audit WHERE act = ? AND subject = ?', 'user-added', added).length > 0,
  )
  panel.sql('DELETE FROM bg_session WHERE id_hash = ?', admin.hash)
  assert.equal((await request).status, 303)
  assert.deepEqual(panel.sql('SELECT id_hash FROM bg_session WHERE id_hash = ?', admin.hash), [])
  assert.equal(await isSignedIn(admin), false)
})

test('a visit is noted, once in a while, and changes nothing else of the session', async () => {
  const here = await panel.signIn(name)
  panel.sql('UPDATE bg_session SET seen_at = seen_at - 120000 WHERE id_hash = ?', here.hash)
  const before = panel.sql('SELECT seen_at, data FROM bg_session WHERE id_hash = ?', here.hash)[0]!
  assert.ok(await isSignedIn(here))
  const later = panel.sql('SELECT seen_at, data FROM bg_session WHERE id_hash = ?', here.hash)[0]!
  assert.ok(Number(later.seen_at) > Number(before.seen_at))
  assert.equal(later.data, before.data)
})
