import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { password, servePanel, signInByForm } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
test('an export is followed in the list, its file downloaded from there and from its page, by who only reads', {
  skip,
  timeout: 120_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'on' })
  const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }), { migrate: false })
  t.after(() => background.close())
  const { page } = await openBrowser(t, { width: 360, theme: 'dark' })
  await signInByForm(page, panel)
  const slow = await background.addTask('demo/csv-export', { rows: 1_000_000_000 }, { type: 'system', creator: 'kim' })
  await page.goto(`${panel.address}/admin/core/bgtask`)
  // Without a reload.
  await page.locator('#task-rows .progress', { hasText: 'rows' }).waitFor()
  await looksGood(page, 'the list with progress')
  await page.goto(`${panel.address}/admin/core/bgtask/${slow.uid}`)
  await page.waitForURL(`**/admin/core/bgtask/${slow.id}`)
  await page.locator('#task-head .progress', { hasText: 'rows' }).waitFor()
  await page.locator('#task-head a', { hasText: 'system' }).click()
  await page.waitForURL('**/admin/core/bgtask?type=system')
  await page.click('.cell-by >> text=kim')
  await page.waitForURL('**/admin/core/bgtask?creator=kim')
  assert.equal(await page.locator('[name=creator]').inputValue(), 'kim')

  const { id } = await background.addTask('demo/csv-export', { rows: 50_000 }, { type: 'small' })
  await page.goto(`${panel.address}/admin/core/bgtask?type=small`)
  const link = page.locator('#task-rows .files a')
  await link.waitFor()
  await looksGood(page, 'the list with a file')
  for (const at of [null, `${panel.address}/admin/core/bgtask/${id}`]) {
    if (at) await page.goto(at)
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('.files a').first().click()])
    assert.match(download.suggestedFilename(), new RegExp(`^\\d{14}-${id}-1\\.csv$`))
    const text = readFileSync(await download.path(), 'utf8')
    assert.ok(text.startsWith('\ufeffnum,datetime\r\n1,') && text.split('\r\n').length === 50_002)
  }
  await looksGood(page, 'the page with a file')
})
