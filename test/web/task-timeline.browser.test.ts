import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { password, servePanel, signInByForm } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()

for (const script of [true, false]) {
  test(`the timeline grows while the task is tried, and the page leads to the output of each run, ${script ? 'by itself' : 'loaded anew'}`, {
    skip,
    timeout: 120_000,
  }, async t => {
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
    const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }))
    t.after(() => background.close())
    const { page, problems } = await openBrowser(t, { script, width: 360, theme: 'dark' })
    await signInByForm(page, panel)
    const { id } = await background.addTask('demo/fail', { times: 2 }, { delayMs: 3_600_000 })
    await page.goto(`${panel.address}/admin/core/bgtask/${id}`)
    const steps = async () => {
      if (!script) await page.goto(`${panel.address}/admin/core/bgtask/${id}`)
      return (await page.locator('.step-head').allInnerTexts()).map(text => text.split('\n')[0]!.trim())
    }
    assert.deepEqual(await steps(), ['Added', 'Waits for its time'])
    await page.click('.task-head button:has-text("Run now")')
    await until('it has ended', async () => (await steps()).at(-1) === 'Succeeded', 60_000)
    const drawn = await steps()
    assert.deepEqual(
      drawn.filter(step => /^Run|^Waited for the next|ed$/.test(step)),
      ['Added', 'Run 1', 'Waited for the next try', 'Run 2', 'Waited for the next try', 'Run 3', 'Succeeded'],
    )
    if (script) await looksGood(page, 'a timeline')
    // The bars lie where the steps lie: none begins before the one above it.
    const from = await page.locator('.step-part').evaluateAll(parts => parts.map(part => Number(part.getAttribute('x'))))
    assert.ok(from.length >= 5)
    assert.deepEqual(
      from,
      from.toSorted((a, b) => a - b),
    )
    await page.click('.step-head a:has-text("Run 1")')
    await page.waitForURL(`**/admin/core/bgtask/${id}?run=1#output`)
    assert.match(await page.locator('#output-title').innerText(), /Output of run 1/)
    assert.deepEqual(problems, [])
  })
}
