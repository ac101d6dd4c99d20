import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
for (const [script, width, theme, locale] of [
  [true, 1280, 'light', 'en-GB'],
  [true, 360, 'dark', 'zh-CN'],
  [false, 360, 'light', 'en-GB'],
] as const) {
  test(`a loop is changed, restarted by that, and changed back, ${script ? 'with' : 'without'} script, ${width} px, ${theme}, ${locale}`, {
    skip,
    timeout: 180_000,
  }, async t => {
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'on' })
    const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }), { migrate: false })
    t.after(() => background.close())
    const { id } = await background.addTask('demo/heartbeat', { intervalMs: 100 }, 'FOREVER')
    const { page, problems } = await openBrowser(t, { script, width, theme, locale })
    const path = `/admin/core/bgtask/${id}`
    await page.goto(`${panel.address}/admin/login?next=${path}`)
    await page.fill('#f-name', 'admin')
    await page.fill('#f-password', password)
    await page.click('main button')
    await page.waitForURL(`**${path}`)
    const runs = (count: number) => untilRuns(page, count, script)
    await runs(1)
    // By the keyboard alone.
    await page.locator(`#task-edits a[href$="/edit"]`).focus()
    await page.keyboard.press('Enter')
    await page.waitForURL(`**${path}/edit`)
    await looksGood(page, 'form', { script })
    await page.locator('#f-intervalMs').focus()
    await page.keyboard.press('Control+A')
    await page.keyboard.type('5')
    await page.locator('#f-intervalMs').evaluate(field => field.setAttribute('min', '0'))
    await page.keyboard.press('Enter')
    await page.locator('.flash-bad', { hasText: 'intervalMs' }).waitFor()
    assert.equal(await page.inputValue('#f-intervalMs'), '5')
    await page.fill('#f-intervalMs', '150')
    // By key, as schedules.browser.test.ts does after what was refused: the page may yet be scrolled away from under the mouse.
    await page.press('form.form button.primary', 'Enter')
    await page.locator('.flash-good').waitFor()
    await runs(2)
    await page.locator('#edit-1 > .changes', { hasText: '150' }).waitFor()
    await page.locator('#task-audit li', { hasText: 'admin' }).first().waitFor()
    await page.locator('#ask-revert-1 summary').click()
    await looksGood(page, 'question', { script })
    await page.click('#ask-revert-1 button[value="restart"]')
    await page.locator('.flash-good').waitFor()
    await page.locator('#edit-2 > .changes', { hasText: '100' }).waitFor()
    await runs(3)
    assert.ok(
      problems.every(problem => problem.includes('422')),
      problems.join(),
    )
  })
}

/** With script the page brings itself up to date; without, it is loaded again. */
const untilRuns = (page: Page, count: number, script: boolean) =>
  until(
    `there are ${count} runs on the page`,
    async () => {
      if (!script) await page.reload()
      return (await page.locator('#task-runs tbody tr').count()) >= count
    },
    60_000,
  )
