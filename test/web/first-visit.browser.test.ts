import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { createUser } from '../../app/api/users.ts'
import { loadConfig } from '../../app/config.ts'
import { packageRoot } from '../../app/paths.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()

for (const script of [true, false]) {
  test(`from the link in the terminal to the first running loop it is two presses, ${script ? 'with' : 'without'} script`, {
    skip,
    timeout: 120_000,
  }, async t => {
    const panel = await servePanel(t)
    const { page, problems } = await openBrowser(t, { script, width: 360 })
    const from = performance.now()
    let presses = 0
    const press = async (selector: string) => {
      presses++
      await page.click(selector)
    }
    await page.goto(panel.setupLink!)
    if (!script) await page.fill('#f-token', new URL(panel.setupLink!).hash.slice(1))
    await page.fill('#f-name', 'Olga')
    await page.fill('#f-password', password)
    await page.fill('#f-repeated', password)
    await press('main button')
    await page.waitForURL('**/admin')
    await press('text=Start the example')
    await page.waitForURL('**/admin/core/bgtask/1')
    await until('the loop runs, and a line of it is there', async () => {
      if (!script) await page.reload()
      const running = await page.locator('#task-head .pill', { hasText: 'Running' }).count()
      return running > 0 && (await page.locator('#output', { hasText: 'iteration=2' }).count()) > 0
    })
    assert.equal(presses, 2)
    t.diagnostic(`from opening the link to the second line of the loop: ${Math.round(performance.now() - from)} ms`)
    // On a page that was not empty any more it is not offered, and who presses twice, in another tab say, has one loop all the same.
    const second = await page.context().newPage()
    await second.goto(`${panel.address}/admin`)
    assert.equal(await second.locator('text=Start the example').count(), 0)
    if (script) {
      await second.evaluate("document.getElementById('first-loop').submit()")
      await second.waitForURL('**/admin/core/bgtask/1')
    }
    assert.deepEqual(problems, [])
    if (script) await looksGood(page, 'the first loop')
  })
}

test('the action that the page shows, put where the page says, runs as a loop', { skip, timeout: 120_000 }, async t => {
  // An application with actions of its own, which has bgtask as a package.
  const application = mkdtempSync(join(tmpdir(), 'bgtask-first-'))
  t.after(() => rmSync(application, { recursive: true, force: true }))
  mkdirSync(join(application, 'node_modules'))
  symlinkSync(packageRoot, join(application, 'node_modules', 'bgtask'))
  mkdirSync(join(application, 'jobs'))
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_ACTIONS: join(application, 'jobs') })
  const { page, problems } = await openBrowser(t)
  await page.goto(`${panel.address}/admin/login`)
  await page.fill('#f-name', 'admin')
  await page.fill('#f-password', password)
  await page.click('main button')
  await page.waitForURL('**/admin')
  const step = page.locator('.first li', { has: page.locator('pre') })
  const file = await step.locator('p code').innerText()
  assert.equal(file, join(application, 'jobs', 'my', 'first.ts'))
  mkdirSync(dirname(file))
  writeFileSync(file, await step.locator('pre code').innerText())
  await page.click('.first a.primary')
  const listed = page.locator('main li a:text("my/first")')
  await until('it is in the list', async () => (await listed.count()) > 0 || void (await page.reload()))
  await listed.click()
  await page.check('[name=exec_type][value=FOREVER]')
  await page.click('main form button.primary')
  await page.waitForURL('**/admin/core/bgtask/1')
  await until(
    'it says what it was told to say',
    async () => (await page.locator('#output', { hasText: 'Hello from my loop' }).count()) > 0,
    60_000,
  )
  assert.deepEqual(problems, [])
})

test('who may only look is told who can start it', {
  skip,
  timeout: 60_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'off' })
  const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }))
  t.after(() => background.close())
  await createUser(background.db, { name: 'viewer', role: 'viewer', password })
  const { page } = await openBrowser(t)
  await page.goto(`${panel.address}/admin/login`)
  await page.fill('#f-name', 'viewer')
  await page.fill('#f-password', password)
  await page.click('main button')
  await page.waitForURL('**/admin')
  const said = await page.locator('.first').innerText()
  assert.match(said, /An operator or administrator can start it here/)
  assert.equal(await page.locator('.first :is(button:not(.copy), a)').count(), 0)
})

test('without the example the steps begin with an action of one’s own', async t => {
  const panel = await openPanel(t)
  const operator = await panel.signIn('operator')
  const { body } = await panel.ask({ url: '/admin', as: operator })
  assert.match(body, /Your first loop in a minute/)
  assert.doesNotMatch(body, /Start the example/)
  assert.match(body, /<a class="button primary" href="\/admin\/core\/bgtask\/new">/)
})
