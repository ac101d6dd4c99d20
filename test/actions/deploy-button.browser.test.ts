import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { findTask } from '../../app/store/find-task.ts'
import { password, servePanel, signInByForm } from '../helpers/browser.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { chromiumMissing, mariadbMissing } from '../helpers/tools.ts'

const cases = [
  { name: 'SQLite, with script', script: true, skip: chromiumMissing(), url: async () => undefined },
  {
    name: 'MariaDB, without script',
    script: false,
    skip: chromiumMissing() || mariadbMissing(),
    url: async () => (await sharedMariaDb()).newDatabase(),
  },
]

for (const { name, script, skip, url } of cases) {
  test(`a button deploys, its page shows what the script prints and how it ended: ${name}`, { skip, timeout: 120_000 }, async t => {
    const databaseUrl = await url()
    const env = { BGTASK_ADMIN_PASSWORD: password, ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}) }
    const panel = await servePanel(t, { ...env, BGTASK_AUTOSTART: 'on' })
    const background = await openBackground(await loadConfig({ ...env, BGTASK_RUNTIME: panel.runtime }))
    t.after(() => background.close())
    const { page, problems } = await openBrowser(t, { script })
    await signInByForm(page, panel)
    await page.goto(`${panel.address}/demo`)
    await page.click('main a[href="/demo/deploy"]')

    // What the commands file does not allow is told on the page, with what was given; nothing is stored.
    for (const revision of ['; rm -rf /', '--force']) {
      await page.fill('#f-revision', revision)
      await page.click('main form button.primary')
      await page.locator('.flash-bad', { hasText: `revision is "${revision}"` }).waitFor()
      assert.equal(await page.inputValue('#f-revision'), revision)
    }
    assert.equal(await findTask(background.db, 1), null)

    await page.selectOption('#f-environment', 'production')
    await page.fill('#f-revision', 'a1b2c3d')
    await page.click('main form button.primary')
    await page.waitForURL('**/demo/deploy?task=1')
    // Live: its first line is there while the run is under way, and the last one comes without a hand.
    await page.locator('#output', { hasText: 'deploying a1b2c3d to production' }).waitFor()
    await page.locator('#output', { hasText: /switching production to a1b2c3d\s+done/ }).waitFor()
    await page.locator('#output-head', { hasText: 'Succeeded' }).waitFor()
    const task = await findTask(background.db, 1)
    assert.deepEqual(
      [task?.state, task?.action, task?.params, task?.creator],
      ['succeeded', 'core/command', { name: 'deploy', args: { environment: 'production', revision: 'a1b2c3d', dryRun: false } }, 'admin'],
    )

    // Pressed twice at once it deploys once.
    const pressed = await page.evaluate<string[]>(`Promise.all([1, 2].map(async () => {
      const body = new URLSearchParams({ ...Object.fromEntries(new FormData(document.querySelector('main form'))), revision: 'e5f6071', dry_run: 'on' })
      return (await fetch('/demo/deploy', { method: 'POST', body })).url
    }))`)
    assert.deepEqual(
      pressed.map(address => new URL(address).search),
      ['?task=2', '?task=2'],
    )
    await page.goto(pressed[0]!)
    await page.locator('#output', { hasText: 'dry run: production stays as it is' }).waitFor()
    await page.locator('#output-head', { hasText: 'Succeeded' }).waitFor()
    // The two that were refused, and nothing else.
    assert.ok(
      problems.every(problem => problem.includes('422')),
      problems.join(),
    )
  })
}
