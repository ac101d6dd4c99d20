import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { removeFirstRun, writeFirstRun } from '../../app/web/first-link.ts'
import { password, type ServedPanel, servePanel } from '../helpers/browser.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const firstRun = (panel: Pick<ServedPanel, 'runtime'>) => join(panel.runtime, 'first-run')
const tokenOf = (panel: ServedPanel) => new URL(panel.setupLink!).hash.slice(1)

/** The form, filled in and sent by somebody who comes for the first time. */
const send = async (panel: ServedPanel, fields: Record<string, string>) => {
  const form = await fetch(`${panel.address}/admin/setup`)
  const cookie = form.headers
    .getSetCookie()
    .map(line => line.split(';')[0])
    .join('; ')
  const _csrf = /name="_csrf" value="([^"]+)"/.exec(await form.text())?.[1] ?? ''
  const body = new URLSearchParams({ _csrf, name: 'olga', password, repeated: password, ...fields })
  return fetch(`${panel.address}/admin/setup`, { method: 'POST', redirect: 'manual', headers: { origin: panel.address, cookie }, body })
}

const database = (panel: ServedPanel) => new DatabaseSync(join(panel.runtime, 'bgtask.sqlite'), { timeout: 5_000 })
const count = (panel: ServedPanel, table: string) => {
  const db = database(panel)
  try {
    return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n)
  } finally {
    db.close()
  }
}

test('the first administrator’s link: guessed, late, weak, twice, and used', { timeout: 60_000 }, async t => {
  const panel = await servePanel(t)
  const token = tokenOf(panel)
  assert.match(panel.setupLink!, /^http:\/\/127\.0\.0\.1:\d+\/admin\/setup#[\w-]{43}$/)
  // Who may read the folder and not the terminal finds it there; the database has its hash alone.
  assert.equal(readFileSync(firstRun(panel), 'utf8'), `${panel.setupLink}\n`)
  assert.equal(statSync(firstRun(panel)).mode & 0o777, 0o600)
  assert.ok(!readFileSync(join(panel.runtime, 'bgtask.sqlite'), 'latin1').includes(token))
  assert.equal(panel.output().split(token).length, 2, 'told once')

  for (const guess of ['', 'A'.repeat(43), token.slice(0, -1), `${token}A`, token.toLowerCase()])
    assert.equal((await send(panel, { token: guess })).status, 410, guess)
  for (const [weak, sentence] of [
    ['short', /has 5 characters; at least 12/],
    ['password1234', /easy to guess/],
    ['Olga-olga-2026', /easy to guess/],
    ['x'.repeat(1_025), /has 1,?025 characters; at most 1,024/],
  ] as const) {
    const answer = await send(panel, { token, password: weak, repeated: weak })
    assert.equal(answer.status, 422)
    const body = await answer.text()
    assert.match(body, sentence)
    assert.ok(!body.includes(`value="${weak}"`), 'a password is never in a page')
    assert.ok(body.includes(`value="${token}"`), 'the token need not be typed again')
  }
  assert.equal((await send(panel, { token, repeated: 'another one entirely' })).status, 422)
  assert.equal((await send(panel, { token, name: '../etc' })).status, 422)
  assert.equal(count(panel, 'bg_user'), 0)

  // Sixteen minutes later.
  const db = database(panel)
  db.exec('UPDATE bg_once_link SET expires_at = expires_at - 960000')
  assert.equal((await send(panel, { token })).status, 410)
  db.exec('UPDATE bg_once_link SET expires_at = expires_at + 960000')

  const statuses = await Promise.all(['olga', 'pavel', 'olga'].map(async name => (await send(panel, { token, name })).status))
  assert.deepEqual(statuses.sort(), [303, 410, 410])
  assert.equal(count(panel, 'bg_user'), 1)
  assert.equal((await fetch(`${panel.address}/admin/setup`)).status, 410)
  assert.ok(!existsSync(firstRun(panel)))
  const acts = db.prepare("SELECT act, via FROM bg_audit WHERE act LIKE 'first-user%' OR act = 'login' ORDER BY id").all()
  db.close()
  const made = acts.filter(({ act }) => act === 'first-user').length - acts.filter(({ act }) => act === 'first-user-failed').length
  assert.equal(made, 1)
  assert.ok(acts.every(({ via }) => via === 'link'))
  assert.ok(!panel.output().includes(password))
})

test('runtime/first-run goes with the panel, and is not there when there is a user', { timeout: 60_000 }, async t => {
  const panel = await servePanel(t)
  assert.ok(existsSync(firstRun(panel)))
  panel.process.kill('SIGTERM')
  await once(panel.process, 'exit')
  assert.ok(!existsSync(firstRun(panel)))
  // Left behind by one that was killed, and somebody has added a user since.
  writeFileSync(firstRun(panel), panel.setupLink!)
  const other = await servePanel(t, { BGTASK_RUNTIME: panel.runtime, BGTASK_ADMIN_PASSWORD: password })
  await until('it is gone', () => !existsSync(firstRun(panel)))
  assert.doesNotMatch(other.output(), /setup#/)
})

test('runtime/first-run is written over a link that somebody has put there, not through it', t => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-first-run-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [runtime, victim] = [join(folder, 'runtime'), join(folder, 'victim')]
  mkdirSync(runtime)
  writeFileSync(victim, 'as it was')
  symlinkSync(victim, join(runtime, 'first-run'))
  writeFirstRun(runtime, 'http://127.0.0.1/admin/setup#one')
  assert.equal(readFileSync(victim, 'utf8'), 'as it was')
  assert.ok(lstatSync(join(runtime, 'first-run')).isFile())
  removeFirstRun(runtime, 'http://127.0.0.1/admin/setup#of-another-panel')
  assert.ok(existsSync(join(runtime, 'first-run')))
  removeFirstRun(runtime, 'http://127.0.0.1/admin/setup#one')
  removeFirstRun(runtime, 'http://127.0.0.1/admin/setup#one')
  removeFirstRun(runtime)
  assert.ok(!existsSync(join(runtime, 'first-run')))
})

for (const script of [true, false]) {
  test(`in a browser ${script ? 'with' : 'without'} script`, { skip: chromiumMissing(), timeout: 60_000 }, async t => {
    const panel = await servePanel(t)
    const { page, problems } = await openBrowser(t, { script })
    const asked: string[] = []
    page.on('request', request => asked.push(`${request.url()} ${request.headers().referer ?? ''}`))
    await page.goto(panel.setupLink!)
    const field = page.locator('#f-token')
    if (script) {
      await until('the token is in the form', async () => (await field.inputValue()) !== '')
      assert.equal(page.url(), `${panel.address}/admin/setup`, 'out of the address bar')
      assert.equal(await field.isVisible(), false)
    } else {
      assert.ok(await field.isVisible())
      await field.fill(tokenOf(panel))
    }
    // What is typed is the name, with nothing before it.
    await page.click('#f-name')
    await page.keyboard.type('olga')
    // A mistake on the way loses nothing.
    await page.fill('#f-password', password)
    await page.fill('#f-repeated', `${password}!`)
    await page.click('main button')
    await page.locator('[role=alert]', { hasText: 'differ' }).waitFor()
    await page.fill('#f-password', password)
    await page.fill('#f-repeated', password)
    await page.click('main button')
    await page.waitForURL('**/admin')
    const db = database(panel)
    assert.deepEqual(
      db
        .prepare('SELECT name FROM bg_user')
        .all()
        .map(({ name }) => name),
      ['olga'],
    )
    db.close()
    assert.ok(!asked.join('\n').includes(tokenOf(panel)), 'in no address and no Referer')
    if (script) {
      await page.goBack()
      await page.goBack()
      assert.ok(!page.url().includes('#'), 'nor in the history')
    }
    assert.deepEqual(
      problems.filter(problem => !/status of 4(10|22)/.test(problem)),
      [],
    )
  })
}

test('in a browser with script, but without the part behind #: it is asked for', { skip: chromiumMissing(), timeout: 60_000 }, async t => {
  const panel = await servePanel(t)
  const { page } = await openBrowser(t)
  await page.goto(`${panel.address}/admin/setup`)
  await page.locator('#f-token').waitFor()
  await page.fill('#f-token', ` ${tokenOf(panel)} `)
  await page.fill('#f-name', 'olga')
  await page.fill('#f-password', password)
  await page.fill('#f-repeated', password)
  await page.click('main button')
  await page.waitForURL('**/admin')
})
