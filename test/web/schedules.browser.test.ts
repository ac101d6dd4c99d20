import assert from 'node:assert/strict'
import { test } from 'node:test'
import { password, servePanel } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
for (const [script, width, theme, locale] of [
  [true, 1280, 'light', 'en-GB'],
  [true, 360, 'dark', 'zh-CN'],
  [false, 360, 'light', 'en-GB'],
] as const) {
  test(`a schedule from the form to its task, ${script ? 'with' : 'without'} script, ${width} px, ${theme}, ${locale}`, {
    skip,
    timeout: 120_000,
  }, async t => {
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
    const { page, problems } = await openBrowser(t, { script, width, theme, locale })
    await page.goto(`${panel.address}/admin/login?next=/admin/config/schedules`)
    await page.fill('#f-name', 'admin')
    await page.fill('#f-password', password)
    await page.click('main button')
    await page.waitForURL('**/admin/config/schedules')
    await looksGood(page, 'empty list', { script })
    await page.click('main .head a.primary')
    await page.click('a[href$="action=demo/greet"]')
    await looksGood(page, 'form', { script })
    await page.fill('#f-name', 'nightly')
    await page.fill('#f-cron', '61 2 * * *')
    await page.click('button[formaction$="/preview"]')
    await page.locator('.flash-bad', { hasText: '"61"' }).waitFor()
    await page.fill('#f-cron', '30 2 * * *')
    await page.fill('#f-zone', 'Europe/Berlin')
    // By key: what answers a form is scrolled to its top a moment after it is there, and on a narrow page away from under the mouse.
    await page.press('button[formaction$="/preview"]', 'Enter')
    await page.locator('.preview-times', { hasText: '02:30 +0' }).first().waitFor()
    assert.equal(await page.locator('.preview-times').first().locator('li').count(), 5)
    await looksGood(page, 'preview', { script })
    await page.click('form.form button.primary')
    await page.locator('.flash-good').waitFor()
    await page.locator('.schedules', { hasText: '30 2 * * *' }).waitFor()
    await looksGood(page, 'list', { script })
    await page.click('button[formaction$="/pause"]')
    await page.locator('button[formaction$="/resume"]').waitFor()
    await looksGood(page, 'paused', { script })
    await page.click('button[formaction$="/run"]')
    await page.waitForURL('**/admin/core/bgtask/1')
    await page.locator('#task-head a[href*="/config/schedules#schedule-"]', { hasText: 'nightly' }).waitFor()
    await page.goto(`${panel.address}/admin/config/schedules`)
    await page.click('details.ask summary')
    await looksGood(page, 'question', { script })
    await page.click('details.ask button.danger')
    await page.locator('.flash-good').waitFor()
    assert.equal(await page.locator('.schedules').count(), 0)
    // The preview of a text at fault, and nothing else.
    assert.ok(
      problems.every(problem => problem.includes('422')),
      problems.join(),
    )
  })
}
