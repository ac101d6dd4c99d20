import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { openBrowser, password, servePanel, signInByForm } from '../helpers/browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

test('axe finds nothing on any page, in both themes, wide and narrow; nothing is wider than the screen', {
  skip,
  timeout: 240_000,
}, async t => {
  const panel = await servePanel(t, { BGTASK_ADMIN_PASSWORD: password })
  const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime }), { migrate: false })
  t.after(() => background.close())
  const windows = await Promise.all(
    (['light', 'dark'] as const).flatMap(theme =>
      [1280, 360].map(async width => ({ theme, width, ...(await openBrowser(t, { theme, width })) })),
    ),
  )
  const look = async (path: string, prepare: (page: Page) => Promise<unknown> = async () => undefined) => {
    for (const { page, theme, width } of windows) {
      await page.goto(`${panel.address}${path}`)
      await prepare(page)
      const where = `${path} ${theme} ${width}`
      assert.deepEqual(await violations(page), [], where)
      assert.ok(
        await page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth'),
        `${where} is wider than the screen`,
      )
    }
  }
  await look('/admin/login')
  await look('/admin/setup')
  for (const { page } of windows) await signInByForm(page, panel)
  await look('/admin/account/second-factor')
  await look('/admin')
  await look('/admin/core/bgtask')

  const loop = await background.addTask('demo/heartbeat', { intervalMs: 500 }, { execType: 'FOREVER', type: 'a-type', creator: 'somebody' })
  const done = await background.addTask('demo/greet', { name: '<b>you</b>' })
  const failed = await background.addTask('demo/fail', { times: 3 }, { maxAttempts: 1 })
  const broken = await background.addTask('demo/fail', { times: 3 }, 'FOREVER')
  const later = await background.addTask('demo/greet', {}, { delayMs: 3_600_000 })
  const state = async (id: number) =>
    (await background.db.kysely.selectFrom('bg_task').select('state').where('id', '=', id).executeTakeFirst())?.state
  await until('something has failed', async () => (await state(failed.id)) === 'failed')
  await until('a loop backs off', async () => (await state(broken.id)) === 'backing-off', 20_000)
  await look('/admin')
  await look('/admin/core/bgtask')
  await look('/admin/core/bgtask?state=failed')
  await look('/admin/core/bgtask/failed')
  await look('/admin/core/bgtask/recovery?do=discard&action=demo/fail')
  await look('/admin/core/bgtask?text=nothing-is-like-this')
  for (const { id } of [loop, done, failed, broken]) await look(`/admin/core/bgtask/${id}`)
  await look(`/admin/core/bgtask/${later.id}`, page => page.click('summary:has-text("Cancel")'))
  await look('/admin/core/bgtask/new')
  await look('/admin/core/bgtask/new?action=demo/disk-watch', page => page.click('.more summary'))
  await look('/admin/core/bgtask/debug')
  await look(`/admin/core/bgtask/debug?id=${done.id}`, async page => {
    await page.click('main button')
    await page.locator('#debug-end').waitFor()
  })
  await look('/admin/core/commands')
  await look('/admin/core/commands/deploy', async page => {
    await page.selectOption('select[name="args.environment"]', 'staging')
    await page.fill('input[name="args.revision"]', 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678')
    await page.click('main form button')
    await page.locator('#ready').waitFor()
  })
  await look('/admin/config/schedules')
  await background.addSchedule('nightly', { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'demo/greet' })
  await look('/admin/config/schedules')
  await look('/admin/config/schedules/1', page => page.click('.more summary'))
  await look('/admin/config/system/cron')
  await look('/admin/config/system/cron/queues/demo_letters')
  await look('/admin/reports/status/cron-key')
  await look('/admin/core/bgtask/restart')
  await look('/admin/core/bgtask?state=bogus')
  await look('/admin/core/bgtask/restart?k=old')
  await look('/admin/reports/status')
  await look('/admin/reports/audit')
  await look('/admin/reports/audit?act=login&from=2026-01-01')
  await look('/admin/reports/audit?user=nobody')
  await look('/admin/reports/audit/chain')
  await look('/admin/account', page => page.click('.menu summary'))
  await look('/admin/core/bgtask/99')
  await look('/nowhere')
  await look('/demo')
  await look('/demo/network')
  for (const { problems } of windows)
    assert.deepEqual(
      [...new Set(problems)].filter(problem => !/status of 4(04|10|22)/.test(problem)),
      [],
    )
})

const violations = async (page: Page): Promise<string[]> => {
  await page.evaluate(axeSource)
  const found = await page.evaluate<{ id: string; nodes: { html: string; failureSummary: string }[] }[]>(
    'axe.run().then(({ violations }) => violations)',
  )
  return found.flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))
}
