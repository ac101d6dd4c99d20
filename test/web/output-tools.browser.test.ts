import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { password, servePanel, signInByForm } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
const actions = join(import.meta.dirname, '..', 'fixtures', 'actions')

/** The page of a run whose output grows as the test wants. */
const growingRun = async (t: TestContext, script: boolean) => {
  const env = { BGTASK_ADMIN_PASSWORD: password, BGTASK_ACTIONS: actions }
  const panel = await servePanel(t, env)
  const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime, ...env }), { migrate: false })
  t.after(() => background.close())
  const { id } = await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  await background.db.kysely.updateTable('bg_task').set({ number: 1 }).where('id', '=', id).execute()
  const run = { task_id: id, number: 1, host: 'here', epoch: '', started_at: Date.now(), attempt: 0, adopted: 0, recycled: 0 }
  await background.db.kysely.insertInto('bg_run').values(run).execute()
  const paths = runtimePaths(panel.runtime).run(`${id}-1`)
  mkdirSync(paths.folder, { recursive: true })
  const print = (...lines: string[]) => appendFileSync(paths.output, lines.map(line => `${line}\n`).join(''))
  for (let line = 1; line <= 120; line++)
    print(`${line % 40 === 0 ? 'WARN' : 'INFO'} line ${line}${line % 50 === 0 ? ' has the Nee\x1b[32mdle\x1b[0m' : ''}`)
  print('ERROR <img src=x onerror=alert(1)>', '    at the place', 'INFO after it')
  const { page, context, problems } = await openBrowser(t, { script })
  await context.grantPermissions(script ? ['clipboard-read', 'clipboard-write'] : [])
  await signInByForm(page, panel)
  const address = `${panel.address}/admin/core/bgtask/${id}`
  await page.goto(address)
  return { page, print, address, problems }
}

const countOf = (page: Page) => page.locator('.output-count').textContent()
const marked = (page: Page, name: string) => page.evaluate<string[]>(`[...(CSS.highlights.get('${name}') ?? [])].map(String)`)
const scrollOf = (page: Page) =>
  page.evaluate<{ top: number; fromEnd: number }>(
    "(box => ({ top: Math.round(box.scrollTop), fromEnd: Math.round(box.scrollHeight - box.scrollTop - box.clientHeight) }))(document.querySelector('.output-box'))",
  )

test('what is shown is searched as one types, filtered, paused, copied, and jumped to its last error, while it grows', {
  skip,
  timeout: 90_000,
}, async t => {
  const { page, print, address, problems } = await growingRun(t, true)
  const field = page.locator('[data-output-tools] input[name=q]')
  await until('the stream is open', () => page.evaluate<boolean>("document.getElementById('live').streamSource?.readyState === 1"))

  // Search: across colours, in any case; the newest match first; what comes is searched, too.
  await field.fill('has the needle')
  assert.equal(await countOf(page), '2')
  assert.deepEqual(await marked(page, 'found'), ['has the Needle', 'has the Needle'])
  await field.press('Enter')
  assert.equal(await countOf(page), '2 / 2')
  await field.press('Enter')
  assert.equal(await countOf(page), '1 / 2')
  await page.click('[data-step="1"]')
  assert.equal(await countOf(page), '2 / 2')
  assert.deepEqual(await marked(page, 'found-now'), ['has the Needle'])
  print('INFO it has the needle once more')
  await until('the new one is found', async () => (await countOf(page)) === '2 / 3')
  assert.equal(page.url(), address)

  // Paused, it stays where it is; then it goes on at the end.
  await field.fill('')
  const follow = page.locator('[data-follow-button]')
  assert.equal(await follow.textContent(), 'Follow')
  await follow.click()
  assert.ok((await scrollOf(page)).fromEnd < 2)
  await follow.click()
  const paused = await scrollOf(page)
  print(...Array.from({ length: 30 }, (_, index) => `INFO more ${index}`))
  await until('it has come', async () => (await page.locator('#output').textContent())!.includes('more 29'))
  assert.equal((await scrollOf(page)).top, paused.top)
  assert.ok((await scrollOf(page)).fromEnd > 100)
  await follow.click()
  print('INFO the end')
  await until(
    'it follows',
    async () => (await page.locator('#output').textContent())!.includes('the end') && (await scrollOf(page)).fromEnd < 2,
  )

  // Levels: with the lines that belong to one; hostile text stays text.
  await page.selectOption('[data-output-tools] select', 'error')
  const filtered = page.locator('.output-box > pre:not(#output)')
  assert.equal(await filtered.textContent(), 'ERROR <img src=x onerror=alert(1)>\n    at the place')
  assert.ok(await page.locator('#output').isHidden())
  print('ERROR another one')
  await until('it is there', async () => (await filtered.textContent())!.endsWith('ERROR another one'))
  await page.click('[data-copy-output]')
  const all = await filtered.textContent()
  await until('it is copied', async () => (await page.evaluate('navigator.clipboard.readText()')) === all)
  await page.selectOption('[data-output-tools] select', 'warn')
  assert.equal((await filtered.textContent())!.match(/WARN/g)!.length, 3)
  assert.equal(await page.locator('.output-box img').count(), 0)

  // The last error: in what is shown, or over all of it.
  await page.click('[data-last-error]')
  assert.deepEqual(await marked(page, 'found-now'), ['ERROR another one'])
  assert.ok(await page.locator('#output').isVisible())
  assert.equal(page.url(), address)
  await looksGood(page, 'with tools')

  // What is not in sight is searched by the panel.
  await field.fill('not in sight')
  assert.equal(await countOf(page), 'None of these lines')
  await Promise.all([page.waitForURL('**/lines?q=not+in+sight&level='), field.press('Enter')])
  await page.locator('p[role=status]', { hasText: 'Nothing in the output of this run matches' }).waitFor()
  assert.deepEqual(problems, [])
})

test('without script, search, level and last error are answered by pages, and nothing is shown that would not work', {
  skip,
  timeout: 60_000,
}, async t => {
  const { page } = await growingRun(t, false)
  for (const part of ['[data-step]', '[data-follow-button]', '[data-copy-output]'])
    for (const one of await page.locator(part).all()) assert.ok(await one.isHidden(), part)
  await page.fill('input[name=q]', 'the needle')
  await page.selectOption('select[name=level]', 'info')
  await page.click('.output-tools button:not([type])')
  await page.waitForURL('**/lines?**')
  assert.deepEqual(await page.locator('.output-line mark').allTextContents(), ['the Nee', 'dle', 'the Nee', 'dle'])
  await page.locator('.output-line .place').first().click()
  await page.waitForURL('**/lines?**at=**#line')
  assert.match((await page.locator('#line').textContent())!, /line 100 has the Needle$/)
  assert.ok(await page.locator('#line').isVisible())
  await page.click('[data-last-error]')
  await page.waitForURL('**#line')
  assert.match((await page.locator('#line').textContent())!, /ERROR <img src=x onerror=alert\(1\)>$/)
  assert.equal(await page.locator('img').count(), 0)
})
