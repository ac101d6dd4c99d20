import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { listTasks } from '../../app/store/list-tasks.ts'
import { password, servePanel, signInByForm } from '../helpers/browser.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()

for (const [script, width] of [
  [true, 1280],
  [false, 360],
] as const) {
  test(`all that match are cancelled and put back by hand, ${script ? 'with' : 'without'} script, ${width} wide`, { skip }, async t => {
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'on' })
    const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }), { migrate: false })
    t.after(() => background.close())
    const many = Array.from({ length: 30 }, () => ({ action: 'demo/fail', options: { delayMs: 3_600_000, creator: 'kim' } }))
    await background.addTasks([...many, { action: 'demo/fail', options: { delayMs: 3_600_000, creator: 'li' } }])
    const waiting = async () => (await listTasks(background.db, { states: ['waiting'], creator: 'kim' }, { limit: 100 })).tasks.length
    const { page, problems } = await openBrowser(t, { script, width })
    const shown = async (text: string | RegExp) => {
      // Without script it is the page that comes again by itself.
      await page.getByText(text).first().waitFor({ timeout: 60_000 })
    }
    await signInByForm(page, panel)
    await page.goto(`${panel.address}/admin/core/bgtask?creator=kim`)
    await page.click('a[href*="do=cancellation"]')
    await shown('30 tasks that match wait and will be cancelled.')
    assert.equal(await waiting(), 30)
    await page.click('main button.danger')
    await shown('cancelled 30 tasks')
    assert.equal(await waiting(), 0)
    await until('it can be undone', () => page.locator('button[formaction$="/undo"]').isVisible(), 60_000)
    await page.click('button[formaction$="/undo"]')
    await shown('put back 30 tasks')
    assert.equal(await waiting(), 30)
    assert.deepEqual(problems, [])
  })
}
