import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { password, servePanel } from '../helpers/browser.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { chromiumMissing } from '../helpers/tools.ts'

test('cron by clicks: run it, see how it fared, put back what was set aside, set when it runs, make its key', {
  skip: chromiumMissing(),
  timeout: 180_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'on' })
  const database = new DatabaseSync(join(panel.runtime, 'bgtask.sqlite'), { timeout: 5_000 })
  t.after(() => database.close())
  database.exec(
    `INSERT INTO bg_queue_item (queue, data, created_at, free_at, failures, error, aside_at)
     VALUES ('demo_letters', '{"to":"zoe","password":"hidden from all"}', 1, NULL, 3, '<b>no address</b>', 2)`,
  )
  const { page, problems } = await openBrowser(t)
  page.setDefaultTimeout(60_000)
  await page.goto(`${panel.address}/admin/login?next=/admin/config/system/cron`)
  await page.fill('input[name="name"]', 'admin')
  await page.fill('input[type="password"]', password)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Cron has not run yet' }).waitFor()
  await page.getByText('Nothing runs cron by itself').waitFor()

  // The page follows by itself.
  await page.getByRole('button', { name: 'Run cron now' }).click()
  await page.getByText('Cron is asked for.').waitFor()
  await page.getByRole('heading', { name: 'The last run went well' }).waitFor()
  const hooks = page.locator('section', { has: page.getByRole('heading', { name: 'Hooks' }) })
  assert.match(await hooks.innerText(), /Done\s+demo/)
  assert.match(await page.locator('#cron-body').innerText(), /1 hook, 3 items done/)

  await page.getByRole('link', { name: '1 set aside' }).click()
  const item = page.locator('li.line')
  assert.match(await item.innerText(), /<b>no address<\/b>/, 'as text, and not as HTML')
  assert.doesNotMatch(await page.content(), /hidden from all/)
  await item.getByRole('button', { name: 'Put back', exact: true }).click()
  await page.getByText('The item waits again.').waitFor()
  await page.getByText('No item is set aside.').waitFor()

  await page.getByRole('link', { name: 'Back to cron' }).click()
  await page.getByLabel('Run cron every').selectOption({ label: '3 hours' })
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The setting is saved.').waitFor()
  await page.getByText('with the first visit after').waitFor()

  await page.getByRole('link', { name: 'Status' }).click()
  await page.getByRole('link', { name: 'Show it' }).click()
  await page.getByRole('button', { name: 'Make a key' }).click()
  await page.getByText('The key is made.').waitFor()
  const address = await page.locator('pre code').first().innerText()
  assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/cron\/[\w-]{43}$/)
  database.exec('UPDATE bg_cron SET asked_at = 1')
  assert.equal((await fetch(address)).status, 204)
  await page.getByText('Make a new key…').click()
  await page.getByRole('button', { name: 'Make a new key', exact: true }).click()
  await page.getByText('The key is made.').waitFor()
  assert.equal((await fetch(address)).status, 403, 'the old one opens nothing')

  await page.goto(`${panel.address}/admin/reports/audit`)
  const audit = await page.locator('main').innerText()
  for (const sentence of [
    /admin asked for a run of cron/,
    /admin put back item 1/,
    /admin made the key of cron/,
    /admin made a new key of cron/,
  ])
    assert.match(audit, sentence)
  assert.deepEqual(problems, [])
})
