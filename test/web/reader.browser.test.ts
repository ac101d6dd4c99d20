import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { findTask } from '../../app/store/find-task.ts'
import { faultsOf } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'
import { openAs, openReadingPanel } from './reading-panel.ts'

// What a page makes of who reads it: zone, language, light or dark.

const skip = chromiumMissing()

test('an instant is told in the reader’s zone and by their language, with the exact one at hand; without script the zone is said', {
  skip,
  timeout: 120_000,
}, async t => {
  const { panel, background } = await openReadingPanel(t)
  const due = Date.parse('2031-01-15T22:30:05Z')
  const { id } = await background.addTask('demo/greet', {}, { runAt: due })
  const address = `${panel.address}/admin/core/bgtask/${id}`
  const instant = `time[datetime="${new Date(due).toISOString()}"]`
  for (const [options, exact, relative] of [
    [{ zone: 'Asia/Kolkata' }, '16 Jan 2031, 04:00:05 GMT+5:30', /^in [\d,]+ days$/],
    [{ zone: 'America/New_York', locale: 'en-US' }, '15 Jan 2031, 17:30:05 GMT-5', /^in [\d,]+ days$/],
    [{ zone: 'Asia/Shanghai', locale: 'zh-CN' }, '2031年1月16日 GMT+8 06:30:05', /^[\d,]+天后$/],
    [{ zone: 'Asia/Kolkata', script: false }, '15 Jan 2031, 22:30:05 UTC', /^in [\d,]+ days$/],
    [{ zone: 'Asia/Shanghai', locale: 'zh-CN', script: false }, '2031年1月15日 UTC 22:30:05', /^[\d,]+天后$/],
  ] as const) {
    const { page, context, problems } = await openAs(t, panel, options)
    await page.goto(address)
    const one = page.locator(`#task-head ${instant}`).first()
    assert.match(await one.innerText(), relative)
    assert.equal(await one.getAttribute('title'), exact)
    // In the timeline it stands as clocks show it.
    assert.equal(await page.locator(`#task-timeline ${instant}`).innerText(), exact)
    // And everywhere, for who wants it so: also by thumb and keyboard, which know no tooltip.
    await page.click('button[name=times][value=exact]')
    assert.equal(await page.getAttribute('button[name=times][value=exact]', 'aria-pressed'), 'true')
    assert.equal(await page.locator(`#task-head ${instant}`).first().innerText(), exact)
    await page.click('button[name=times][value=relative]')
    assert.match(await one.innerText(), relative)
    assert.deepEqual(problems, [])
    await context.close()
  }
})

test('with exact times no page is too wide, and what is brought up to date stays exact', { skip, timeout: 120_000 }, async t => {
  const { panel, background } = await openReadingPanel(t)
  const { page } = await openAs(t, panel, { width: 360 })
  await page.click('button[name=times][value=exact]')
  const loop = await background.addTask('demo/heartbeat', { intervalMs: 200 }, 'FOREVER')
  const done = await background.addTask('demo/fail', { times: 1 })
  await until('the task has ended', async () => (await findTask(background.db, done.id))?.state === 'succeeded', 60_000)
  const faults: string[] = []
  for (const path of [
    '',
    '/core/bgtask',
    `/core/bgtask/${loop.id}`,
    `/core/bgtask/${done.id}`,
    '/config/users',
    '/reports/audit',
    '/account',
  ]) {
    for (const language of ['en', 'zh'] as const) {
      await page.goto(`${panel.address}/admin${path}`)
      await page.click(`button[name=language][value=${language}]`)
      faults.push(...(await faultsOf(page, `${path} ${language}`)))
    }
  }
  assert.deepEqual(faults, [])
  await page.click('button[name=language][value=en]')
  await page.goto(`${panel.address}/admin/core/bgtask/${done.id}`)
  const shown = page.locator('#task-head .why-text time').first()
  await background.db.kysely.updateTable('bg_task').set({ content: 'brought up to date' }).where('id', '=', done.id).execute()
  await page.getByText('brought up to date').waitFor()
  assert.match(await shown.innerText(), /^\d+ \w+ \d{4}, \d\d:\d\d:\d\d /)
})

test('numbers are told by the language', { skip, timeout: 60_000 }, async t => {
  const { panel, background } = await openReadingPanel(t)
  await background.addTasks(Array.from({ length: 1_234 }, () => ({ action: 'demo/greet', options: { delayMs: 3_600_000 } })))
  const task = await background.addTask('demo/greet', {}, { delayMs: 3_600_000, timeoutMs: 5_400_000, priority: -1_000 })
  for (const [locale, waiting, limit] of [
    ['en-GB', '1,235', '1 h 30 min'],
    ['zh-CN', '1,235', '1 小时 30 分'],
  ] as const) {
    const { page, context } = await openAs(t, panel, { locale, script: false })
    await page.goto(`${panel.address}/admin`)
    assert.ok((await page.locator('.tile-value').allInnerTexts()).includes(waiting), locale)
    await page.goto(`${panel.address}/admin/core/bgtask/${task.id}`)
    const facts = await page.locator('.columns dd').allInnerTexts()
    assert.ok(facts.includes(limit) && facts.includes('-1,000'), `${locale}: ${facts.join(' | ')}`)
    await context.close()
  }
})

test('light and dark: as the system says, until the reader chooses; with and without script', { skip, timeout: 60_000 }, async t => {
  const { panel } = await openReadingPanel(t)
  const ground = (page: Page) => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
  const light = 'rgb(245, 246, 244)'
  const dark = 'rgb(19, 22, 21)'
  // Before anybody has signed in, too.
  for (const script of [true, false]) {
    const { page, context } = await openBrowser(t, { script })
    await page.goto(`${panel.address}/admin/login`)
    for (const [choice, seen] of [
      ['system', { light, dark }],
      ['dark', { light: dark, dark }],
      ['light', { light, dark: light }],
      ['system', { light, dark }],
    ] as const) {
      await page.click(`button[name=theme][value=${choice}]`)
      assert.equal(await page.getAttribute(`button[name=theme][value=${choice}]`, 'aria-pressed'), 'true')
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        assert.equal(await ground(page), seen[colorScheme], `${choice} on a system that is ${colorScheme}`)
      }
    }
    await context.close()
  }
})
