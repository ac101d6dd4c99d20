import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Secret, TOTP } from 'otpauth'
import { changePassword } from '../../app/api/users.ts'
import { turnOnSecondFactor } from '../../app/store/second-factor.ts'
import { findUser } from '../../app/store/users.ts'
import { networkOf } from '../../app/web/login-wait.ts'
import { password } from '../helpers/browser.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

let panel: ListeningPanel
before(async () => {
  panel = await listenPanel()
})
after(() => panel.close())

const isIn = async (as: SignedIn) => (await panel.ask({ url: '/admin/account', as })).status === 200

/** Its row once more, as a login writes it that was looked at before and is answered now. */
const answeredLate = async (as: SignedIn, meanwhile: () => Promise<unknown>) => {
  const row = panel.sql('SELECT * FROM bg_session WHERE id_hash = ?', as.hash)[0]!
  await meanwhile()
  panel.sql('DELETE FROM bg_session WHERE id_hash = ?', as.hash)
  const columns = Object.keys(row)
  panel.sql(
    `INSERT INTO bg_session (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    ...(Object.values(row) as (string | number | null)[]),
  )
}

test('a login that is answered after the password was changed opens nothing', async () => {
  const as = await panel.signIn('viewer')
  assert.ok(await isIn(as))
  await answeredLate(as, () => changePassword(panel.background.db, 'viewer', 'another lantern by the quay'))
  assert.equal(await isIn(as), false)
  await panel.signIn('viewer', { password: 'another lantern by the quay' })
})

test('a login that is answered after the second factor was turned on opens nothing', async () => {
  const { db } = panel.background
  const as = await panel.signIn('operator')
  const { id } = (await findUser(db, 'operator'))!
  await answeredLate(as, () => turnOnSecondFactor(db, id, { secret, step: 1, codeHashes: ['x'] }))
  assert.equal(await isIn(as), false)
})

test('with the second factor on, a new password takes a code as well, and its guesses are counted with the other proofs', async () => {
  const { db } = panel.background
  const as = await panel.signIn('admin')
  const { id } = (await findUser(db, 'admin'))!
  await turnOnSecondFactor(db, id, { secret, step: 1, codeHashes: ['x'] }, as.hash)
  panel.sql("UPDATE bg_session SET data = json_set(data, '$.secondFactor', json('true')) WHERE id_hash = ?", as.hash)
  const next = 'a third lantern over the dunes'
  const change = (code: string) =>
    panel.ask({ method: 'POST', url: '/admin/account', as, body: { current: password, password: next, repeated: next, code } })
  assert.match((await panel.ask({ url: '/admin/account', as })).body, /name="code"/)
  for (const code of ['', '000000', 'no code at all']) assert.equal((await change(code)).status, 401)
  const changedAt = () => panel.sql("SELECT password_changed_at AS at FROM bg_user WHERE name = 'admin'")[0]!.at
  const before = changedAt()
  assert.equal((await change('111111')).status, 401)
  assert.equal((await change('222222')).status, 401)
  assert.equal((await change('333333')).status, 429)
  assert.equal(changedAt(), before)
  panel.sql('DELETE FROM bg_login_failure')
  assert.equal((await change(new TOTP({ secret: Secret.fromBase32(secret) }).generate())).status, 303)
  assert.notEqual(changedAt(), before)
})

test('the right password leaves a row although the code is missing', async () => {
  const { count } = panel.sql("SELECT count(*) AS count FROM bg_audit WHERE act = 'password-accepted'")[0]!
  await panel.signIn('operator')
  assert.equal(panel.sql("SELECT count(*) AS count FROM bg_audit WHERE act = 'password-accepted'")[0]!.count, Number(count) + 1)
})

test('an address that a proxy got wrong is kept as it is, and harms nothing', () => {
  assert.equal(networkOf('1:2:3:4:5:6:7:8::9'), '1:2:3:4:5:6:7:8::9')
  assert.equal(networkOf(':'.repeat(5_000)).length, 64)
  assert.equal(networkOf('2001:DB8::1'), '2001:db8:0:0::/64')
})

const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
