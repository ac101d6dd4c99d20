import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
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
  test(`a token from the form to its end, ${script ? 'with' : 'without'} script, ${width} px, ${theme}, ${locale}`, {
    skip,
    timeout: 120_000,
  }, async t => {
    const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password, BGTASK_LOG_LEVEL: 'trace' })
    const { page, context, problems } = await openBrowser(t, { script, width, theme, locale })
    if (script) await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.goto(`${panel.address}/admin/login?next=/admin/config/tokens`)
    await page.fill('#f-name', 'admin')
    await page.fill('#f-password', password)
    await page.click('main button')
    await page.waitForURL('**/admin/config/tokens')
    await looksGood(page, 'empty list', { script })
    await page.click('main .head a.primary')
    await page.waitForURL('**/tokens/new')
    await looksGood(page, 'form', { script })
    await page.fill('#f-name', 'deploy')
    await page.check('input[value="loop:restart"]')
    await page.check('input[value="task:read"]')
    await page.check('input[value="demo/*"]')
    await page.click('form button.primary')
    const token = await page.locator('pre.code code').first().innerText()
    assert.match(token, /^bgt_1_[\w-]{43}$/)
    await looksGood(page, 'made', { script })
    if (script) {
      await page.locator('pre.code button').first().click()
      await until('it is copied', async () => (await page.evaluate<string>('navigator.clipboard.readText()')) === token)
    }

    // The lines on the page are for a terminal, as they are.
    const lines = await page.locator('section:last-of-type pre.code code').allInnerTexts()
    assert.equal(lines.length, 3)
    const last = lines.at(-1)!
    assert.match(last, /^curl -H "Authorization: Bearer bgt_.* -X POST \S+\/api\/v1\/loop\/restart$/)
    const { stdout } = await promisify(execFile)('sh', ['-c', `${lines[1]!.replace('curl', 'curl -s')}`])
    assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'not-found')

    await page.goto(`${panel.address}/admin/config/tokens`)
    await page.locator('.tokens', { hasText: 'deploy' }).waitFor()
    await looksGood(page, 'list', { script })
    assert.ok(!(await page.content()).includes(token.slice(-43)))
    await page.click('details.ask summary')
    await looksGood(page, 'question', { script })
    await page.click('details.ask button.danger')
    await page.locator('.flash-good').waitFor()
    assert.equal(await page.locator('details.ask').count(), 0)
    const answer = await fetch(`${panel.address}/api/v1/tasks/1`, { headers: { authorization: `Bearer ${token}` } })
    assert.equal(answer.status, 401)
    await looksGood(page, 'revoked', { script })

    assert.deepEqual(problems, [])
    const secret = token.slice(-43)
    assert.ok(!panel.output().includes(secret), 'never in the log')
    for (const file of readdirSync(panel.runtime, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()))
      assert.ok(!readFileSync(join(file.parentPath, file.name)).includes(secret), file.name)
  })
}
