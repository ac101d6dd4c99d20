import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { findTask } from '../../app/store/find-task.ts'
import { password, servePanel } from '../helpers/browser.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const actions = join(import.meta.dirname, '..', 'fixtures', 'actions')

for (const script of [true, false]) {
  test(`the newest line of output is the one in sight, ${script ? 'with' : 'without'} script`, {
    skip: chromiumMissing(),
    timeout: 60_000,
  }, async t => {
    const env = { BGTASK_ADMIN_PASSWORD: password, BGTASK_ACTIONS: actions }
    const panel = await servePanel(t, env)
    const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime, ...env }), { migrate: false })
    t.after(() => background.close())
    const { page } = await openBrowser(t, { script })
    await page.goto(`${panel.address}/admin/login`)
    await page.fill('#f-name', 'admin')
    await page.fill('#f-password', password)
    await page.click('main button')
    await page.waitForURL('**/admin')
    const once = await background.addTask('test/prints-a-lot', { lines: 200 })
    await until('it has ended', async () => (await findTask(background.db, once.id))?.state === 'succeeded')
    await page.goto(`${panel.address}/admin/core/bgtask/${once.id}`)
    const box = (await page.locator('.output-box').boundingBox())!
    const output = (await page.locator('#output').boundingBox())!
    assert.ok(output.height > 2 * box.height, 'the box holds a part of it only')
    assert.ok(Math.abs(output.y + output.height - (box.y + box.height)) < 20, `the box ends at ${box.y + box.height}, the output elsewhere`)

    // A page that does not move by itself does not say that it does.
    const loop = await background.addTask('test/forever', {}, 'FOREVER')
    await until('the loop runs', async () => (await findTask(background.db, loop.id))?.state === 'running')
    await page.goto(`${panel.address}/admin/core/bgtask/${loop.id}`)
    assert.equal(await page.locator('#output-head .pill').isVisible(), script)
  })
}
