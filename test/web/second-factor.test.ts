import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret, TOTP } from 'otpauth'
import type { Page } from 'playwright-core'
import decodeQR from 'qr/decode.js'
import { recoveryCodeHash } from '../../app/api/recovery-code.ts'
import { totpStepMs, totpStepOf } from '../../app/api/totp.ts'
import { changePassword } from '../../app/api/users.ts'
import { listAudit } from '../../app/store/audit.ts'
import { run, runWithInput } from '../cli/run.ts'
import { openPage, password, servePanel } from '../helpers/browser.ts'
import { type Answer, cookieOf, type ListeningPanel, type SignedIn, tokenIn } from '../helpers/listening-panel.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { ageProof, holdStill, openPanel } from '../helpers/open-panel.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const page = '/admin/account/second-factor'

/** What an app on a phone shows. @param steps later than now */
const codeOf = (secret: string, steps = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * totpStepMs })

const post = (panel: ListeningPanel, url: string, as: Pick<SignedIn, 'cookie' | 'csrf'>, body: Record<string, string>) =>
  panel.ask({ method: 'POST', url, as, body })

/** Codes are taken once, so each test begins before the first of its own. */
const forgetStep = (panel: ListeningPanel) => panel.sql('UPDATE bg_user SET totp_step = 0 WHERE totp_secret IS NOT NULL')

const turnOn = async (panel: ListeningPanel, who: SignedIn) => {
  const shown = await panel.ask({ url: page, as: who })
  const secret = /class="mono totp-secret">([A-Z2-7 ]+)</.exec(shown.body)![1]!.replaceAll(' ', '')
  const wrong = codeOf(secret, 40)
  assert.equal((await post(panel, page, who, { code: wrong })).status, 422)
  assert.deepEqual(panel.sql('SELECT totp_secret FROM bg_user WHERE totp_secret IS NOT NULL'), [], 'a wrong code turns nothing on')
  const done = await post(panel, page, who, { code: codeOf(secret) })
  assert.equal(done.status, 200, done.body)
  return { secret, codes: codesIn(done), done }
}

const codesIn = ({ body }: Answer) => /<pre class="code recovery-codes"[^>]*><code>([^<]+)</.exec(body)![1]!.split('\n')

/** Name and password: the first half. */
const begin = async (panel: ListeningPanel, name: string) => {
  const form = await panel.ask({ url: '/admin/login' })
  const planted = cookieOf(form)
  const answer = await post(panel, '/admin/login', { cookie: planted, csrf: tokenIn(form.body) }, { name, password })
  assert.deepEqual([answer.status, answer.headers.location], [303, '/admin/login/second-factor'])
  const cookie = cookieOf(answer)
  assert.notEqual(cookie, planted)
  const asked = await panel.ask({ url: '/admin/login/second-factor', headers: { cookie } })
  assert.equal(asked.status, 200)
  return { cookie, csrf: tokenIn(asked.body) }
}
const give = (panel: ListeningPanel, half: Awaited<ReturnType<typeof begin>>, code: string) =>
  post(panel, '/admin/login/second-factor', half, { code })
const isIn = async (panel: ListeningPanel, answer: Answer) =>
  answer.status === 303 && (await panel.ask({ url: '/admin/account', headers: { cookie: cookieOf(answer) } })).status === 200

test('the codes are those of RFC 6238, one step either way', () => {
  // Appendix B, SHA-1, the last six digits.
  const secret = new Secret({ buffer: new TextEncoder().encode('12345678901234567890').buffer as ArrayBuffer }).base32
  for (const [seconds, code] of [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ] as const) {
    const step = Math.floor(seconds / 30)
    for (const [later, expected] of [
      [-60, null],
      [-30, step],
      [0, step],
      [30, step],
      [60, null],
    ] as const)
      assert.equal(totpStepOf(secret, code, (seconds + later) * 1000), expected, `${code} ${later} s later`)
  }
  for (const text of ['', '28708', '2870822', '28708２', 'x87082', ' 287082']) assert.equal(totpStepOf(secret, text, 59_000), null)
})

test('a recovery code is read as people type it, and belongs to one user', () => {
  const hash = recoveryCodeHash(7, 'k7qm-2xwd-91hp-t0vr')
  for (const typed of ['K7QM2XWD91HPT0VR', ' k7qm 2xwd 9lhp tOvr ', 'k7qm-2xwd-9ihp-tovr']) assert.equal(recoveryCodeHash(7, typed), hash)
  assert.notEqual(recoveryCodeHash(8, 'k7qm-2xwd-91hp-t0vr'), hash)
  for (const typed of ['', 'k7qm-2xwd-91hp', 'k7qm-2xwd-91hp-t0vu', '123456']) assert.equal(recoveryCodeHash(7, typed), null)
})

test('turned on by a code that fits; then the password alone opens nothing', { timeout: 60_000 }, async t => {
  const panel = await openPanel(t)
  const admin = await panel.signIn('admin')
  const elsewhere = await panel.signIn('admin', { from: '127.0.0.2' })
  const { secret, codes, done } = await turnOn(panel, admin)
  assert.equal(codes.length, 10)
  assert.equal(new Set(codes).size, 10)
  for (const code of codes) assert.match(code, /^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){3}$/)
  const stored = JSON.stringify(panel.sql('SELECT * FROM bg_recovery_code'))
  for (const code of codes) assert.ok(!stored.includes(code) && !stored.includes(code.replaceAll('-', '')))
  assert.equal(done.headers['cache-control'], 'no-store')
  assert.equal((await panel.ask({ url: '/admin/account', as: elsewhere })).status, 303, 'other sessions have ended')
  const again = await panel.ask({ url: page, as: admin })
  for (const text of [secret, ...codes]) assert.ok(!again.body.includes(text), 'shown once')

  forgetStep(panel)
  const half = await begin(panel, 'admin')
  // Nothing that needs somebody, by no method; it is as good as no session.
  for (const { method, url, role } of panel.routes) {
    if (role === 'public' || /^\/(admin\/(login|logout|setup|preferences|assets)|$|healthz|api|metrics|cron)/.test(url)) continue
    const address = url.replaceAll(/:\w+/g, '1')
    const answer = method === 'GET' ? await panel.ask({ url: address, as: half }) : await post(panel, address, half, {})
    assert.ok([303, 401, 404, 405].includes(answer.status), `${method} ${address}: ${answer.status}`)
    if (answer.status === 303) assert.match(String(answer.headers.location), /^\/admin\/login\?next=/, `${method} ${address}`)
  }
  const code = codeOf(secret)
  assert.equal((await give(panel, half, codeOf(secret, 40))).status, 401)
  const answer = await give(panel, half, `${code.slice(0, 3)} ${code.slice(3)}`)
  assert.ok(await isIn(panel, answer), answer.body)
  assert.notEqual(cookieOf(answer), half.cookie)
  assert.equal((await panel.ask({ url: '/admin/account', headers: { cookie: half.cookie } })).status, 303, 'the half session is over')

  // Who looked over the shoulder types the same code.
  assert.equal((await give(panel, await begin(panel, 'admin'), code)).status, 401)
  // The clock of the phone is half a minute ahead; two minutes are too much.
  assert.equal((await give(panel, await begin(panel, 'admin'), codeOf(secret, 4))).status, 401)
  assert.ok(await isIn(panel, await give(panel, await begin(panel, 'admin'), codeOf(secret, 1))))
  assert.equal((await give(panel, await begin(panel, 'admin'), codeOf(secret))).status, 401, 'nor one from before the last')

  // A recovery code, once.
  assert.ok(await isIn(panel, await give(panel, await begin(panel, 'admin'), codes[3]!.toUpperCase())))
  assert.equal((await give(panel, await begin(panel, 'admin'), codes[3]!)).status, 401)
  const acts = await listAudit(panel.background.db, { limit: 100 })
  const logins = acts.filter(({ act, userName }) => act === 'login' && userName === 'admin').map(({ detail }) => detail)
  assert.deepEqual(logins.slice(0, 3), ['recovery-code', 'code', 'code'])
  assert.equal(acts.filter(({ act }) => act === 'second-factor-failed').length, 5)
  assert.equal(acts.filter(({ act }) => act === 'second-factor-on').length, 1)
})

test('two at once with one code, and two with one recovery code: one of each comes in', async t => {
  const panel = await openPanel(t)
  const { secret, codes } = await turnOn(panel, await panel.signIn('operator'))
  forgetStep(panel)
  const halves = [
    await begin(panel, 'operator'),
    await begin(panel, 'operator'),
    await begin(panel, 'operator'),
    await begin(panel, 'operator'),
  ]
  const code = codeOf(secret)
  const answers = await Promise.all([code, code, codes[0]!, codes[0]!].map((one, n) => give(panel, halves[n]!, one)))
  assert.deepEqual(
    answers
      .slice(0, 2)
      .map(({ status }) => status)
      .sort(),
    [303, 401],
  )
  assert.deepEqual(
    answers
      .slice(2)
      .map(({ status }) => status)
      .sort(),
    [303, 401],
  )
})

test('who has the password guesses codes no faster by giving it again and again', async t => {
  const panel = await openPanel(t)
  const { secret } = await turnOn(panel, await panel.signIn('operator'))
  forgetStep(panel)
  for (let tries = 0; tries < 5; tries++)
    assert.equal((await give(panel, await begin(panel, 'operator'), codeOf(secret, 50 + tries))).status, 401)
  const failures = () => panel.sql("SELECT failures FROM bg_login_failure WHERE subject LIKE 'code:%'").map(row => row.failures)
  assert.deepEqual(failures(), [5], 'a right password forgives no wrong code')
  holdStill(panel)
  for (const code of [codeOf(secret, 60), codeOf(secret)])
    assert.equal((await give(panel, await begin(panel, 'operator'), code)).status, 429)
  panel.sql('UPDATE bg_login_failure SET last_at = last_at - 120000')
  assert.ok(await isIn(panel, await give(panel, await begin(panel, 'operator'), codeOf(secret))), 'a delay, and no lock-out')
})

test('the first half lives five minutes, and no longer than the password and the second factor', async t => {
  const panel = await openPanel(t)
  const { secret, codes } = await turnOn(panel, await panel.signIn('operator'))
  forgetStep(panel)
  const late = await begin(panel, 'operator')
  panel.sql("UPDATE bg_session SET data = json_set(data, '$.half.at', json_extract(data, '$.half.at') - 300001) WHERE data LIKE '%half%'")
  for (const answer of [await give(panel, late, codeOf(secret)), await panel.ask({ url: '/admin/login/second-factor', as: late })])
    assert.deepEqual([answer.status, answer.headers.location], [303, '/admin/login'])
  const changed = await begin(panel, 'operator')
  const reset = await begin(panel, 'operator')
  const other = 'nine green herons at dusk'
  await changePassword(panel.background.db, 'operator', other)
  assert.equal((await give(panel, changed, codes[0]!)).headers.location, '/admin/login')
  panel.sql('UPDATE bg_user SET totp_secret = NULL, password_changed_at = ?', 0)
  panel.sql("UPDATE bg_session SET data = json_set(data, '$.half.passwordChangedAt', 0) WHERE data LIKE '%half%'")
  assert.equal((await give(panel, reset, '')).headers.location, '/admin/login', 'who turned it off meanwhile is not the one at the door')
})

test('turned off with password and code, however fresh the session; renewed codes; reset from the shell', async t => {
  const panel = await openPanel(t)
  const who = await panel.signIn('operator')
  const { secret, codes } = await turnOn(panel, who)
  forgetStep(panel)
  const off = (proof_password: string, proof_code: string) => post(panel, `${page}/removal`, who, { proof_password, proof_code })
  const isOn = () => panel.sql("SELECT totp_secret FROM bg_user WHERE name = 'operator'")[0]!.totp_secret !== null
  for (const [given, code] of [
    [password, ''],
    ['wrong password', codeOf(secret)],
    [password, '000000'],
    ['', ''],
  ] as const)
    assert.equal((await off(given, code)).status, 401, `${given} ${code}`)
  assert.ok(isOn())
  assert.equal(panel.sql("SELECT failures FROM bg_login_failure WHERE subject LIKE 'proof:%'")[0]!.failures, 4)

  const renewed = codesIn(await post(panel, `${page}/recovery-codes`, who, {}))
  assert.equal(renewed.length, 10)
  assert.equal((await off(password, codes[0]!)).status, 401, 'those from before are worth nothing')
  holdStill(panel)
  assert.equal((await off(password, renewed[0]!)).status, 429, 'guesses at it are delayed')
  panel.sql('UPDATE bg_login_failure SET last_at = last_at - 120000')
  assert.equal((await off(password, renewed[0]!)).status, 303)
  assert.ok(!isOn())
  assert.deepEqual(panel.sql('SELECT * FROM bg_recovery_code'), [])

  forgetStep(panel)
  await turnOn(panel, who)
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: panel.runtime }
  const listed = await run(env, 'user', 'list')
  assert.match(listed.stdout, /operator +operator +\S.* +on /)
  const fresh = 'nine green herons at dusk'
  const reset = await runWithInput(env, `${fresh}\n`, 'user', 'passwd', 'operator', '--password-stdin', '--reset-second-factor')
  assert.equal(reset.code, 0, reset.stderr)
  assert.ok(!isOn())
  await panel.signIn('operator', { password: fresh })
  const acts = (await listAudit(panel.background.db, { limit: 100 })).map(({ act }) => act)
  for (const act of ['second-factor-off', 'recovery-codes-renewed', 'second-factor-reset', 'proof-failed'])
    assert.ok(acts.includes(act), act)
})

test('a session that was left open turns nothing on: the password comes first', async t => {
  const panel = await openPanel(t)
  const who = await panel.signIn('viewer')
  const shown = await panel.ask({ url: page, as: who })
  const secret = /class="mono totp-secret">([A-Z2-7 ]+)</.exec(shown.body)![1]!.replaceAll(' ', '')
  ageProof(panel, who, 300_001)
  assert.equal((await panel.ask({ url: page, as: who })).status, 403)
  assert.doesNotMatch((await panel.ask({ url: page, as: who })).body, new RegExp(secret.slice(0, 4)))
  assert.equal((await post(panel, page, who, { code: codeOf(secret) })).status, 403)
  assert.equal(panel.sql('SELECT * FROM bg_user WHERE totp_secret IS NOT NULL').length, 0)
})

for (const script of [true, false]) {
  test(`in a browser ${script ? 'with' : 'without'} script: scanned, turned on, signed in with it`, {
    skip: chromiumMissing(),
    timeout: 90_000,
  }, async t => {
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
    const { page: tab, browser, problems } = await openBrowser(t, { script })
    const login = async () => {
      await tab.goto(`${panel.address}/admin/login`)
      await tab.fill('#f-name', 'admin')
      await tab.fill('#f-password', password)
      await tab.click('main button')
    }
    await login()
    await tab.goto(panel.address + page)
    const uri = await readQr(await tab.locator('.qr').screenshot(), (await openPage(t, browser)).page)
    assert.match(uri, /^otpauth:\/\/totp\/bgtask%20\(127\.0\.0\.1\):admin\?/)
    const secret = new URL(uri).searchParams.get('secret')!
    await tab.fill('#f-code', codeOf(secret))
    await tab.click('main button:has-text("Turn on")')
    const codes = (await tab.locator('.recovery-codes code').innerText()).split('\n')
    assert.equal(codes.length, 10)
    await tab.click('text=I have kept them')
    assert.match(await tab.locator('main').innerText(), /10 codes are left/)
    await tab.click('.menu summary')
    await tab.click('text=Sign out')
    await login()
    await tab.waitForURL('**/admin/login/second-factor')
    await tab.fill('#f-code', '000000')
    await tab.click('main button')
    assert.match(await tab.locator('[role=alert]').innerText(), /does not fit/)
    await tab.fill('#f-code', codeOf(secret, 1))
    await tab.click('main button')
    await tab.waitForURL('**/admin')
    assert.deepEqual(
      problems.filter(problem => !/status of 401/.test(problem)),
      [],
    )
  })
}

/** As a phone reads it: from the pixels. */
const readQr = async (png: Buffer, tab: Page): Promise<string> => {
  const { width, height, data } = await tab.evaluate<{ width: number; height: number; data: number[] }>(`(async () => {
    const image = new Image()
    image.src = 'data:image/png;base64,${png.toString('base64')}'
    await image.decode()
    const canvas = new OffscreenCanvas(image.width, image.height)
    const context = canvas.getContext('2d')
    context.drawImage(image, 0, 0)
    return { width: image.width, height: image.height, data: [...context.getImageData(0, 0, image.width, image.height).data] }
  })()`)
  return decodeQR({ width, height, data: Uint8Array.from(data) })
}
