import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { findTask } from '../../app/store/find-task.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { emptySample, spanAt } from '../../app/task/sample.ts'
import { openBrowser, password, type ServedPanel, servePanel, signInByForm } from '../helpers/browser.ts'
import { faultsOf } from '../helpers/looks-good.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

// What a page makes of who reads it: zone, language, light or dark; and that it holds still while it is brought up to date.

const skip = chromiumMissing()
const root = join(import.meta.dirname, '..', '..')

const open = async (t: TestContext, more: Record<string, string> = {}) => {
  const env = { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'off', ...more }
  const panel = await servePanel(t, env)
  const background = await openBackground(await loadConfig({ ...env, BGTASK_RUNTIME: panel.runtime }))
  t.after(() => background.close())
  return { panel, background }
}

/** As `admin`, in a browser of its own. */
const openAs = async (t: TestContext, panel: ServedPanel, options: Parameters<typeof openBrowser>[1]) => {
  const opened = await openBrowser(t, options)
  await signInByForm(opened.page, panel)
  return opened
}

test('an instant is told in the reader’s zone and by their language, with the exact one at hand; without script the zone is said', {
  skip,
  timeout: 120_000,
}, async t => {
  const { panel, background } = await open(t)
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
    const { page, browser, problems } = await openAs(t, panel, options)
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
    await browser.close()
  }
})

test('with exact times no page is too wide, and what is brought up to date stays exact', { skip, timeout: 120_000 }, async t => {
  const { panel, background } = await open(t)
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
  await page.goto(`${panel.address}/admin/core/bgtask/${loop.id}`)
  const shown = page.locator('#task-head .why-text time').first()
  await background.db.kysely.updateTable('bg_task').set({ content: 'brought up to date' }).where('id', '=', loop.id).execute()
  await page.getByText('brought up to date').waitFor()
  assert.match(await shown.innerText(), /^\d+ \w+ \d{4}, \d\d:\d\d:\d\d /)
})

test('numbers are told by the language', { skip, timeout: 60_000 }, async t => {
  const { panel, background } = await open(t)
  await background.addTasks(Array.from({ length: 1_234 }, () => ({ action: 'demo/greet', options: { delayMs: 3_600_000 } })))
  const task = await background.addTask('demo/greet', {}, { delayMs: 3_600_000, timeoutMs: 5_400_000, priority: -1_000 })
  for (const [locale, waiting, limit] of [
    ['en-GB', '1,235', '1 h 30 min'],
    ['zh-CN', '1,235', '1 小时 30 分'],
  ] as const) {
    const { page, browser } = await openAs(t, panel, { locale, script: false })
    await page.goto(`${panel.address}/admin`)
    assert.ok((await page.locator('.tile-value').allInnerTexts()).includes(waiting), locale)
    await page.goto(`${panel.address}/admin/core/bgtask/${task.id}`)
    const facts = await page.locator('.columns dd').allInnerTexts()
    assert.ok(facts.includes(limit) && facts.includes('-1,000'), `${locale}: ${facts.join(' | ')}`)
    await browser.close()
  }
})

test('light and dark: as the system says, until the reader chooses; with and without script', { skip, timeout: 60_000 }, async t => {
  const { panel } = await open(t)
  const ground = (page: Page) => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
  const light = 'rgb(245, 246, 244)'
  const dark = 'rgb(19, 22, 21)'
  // Before anybody has signed in, too.
  for (const script of [true, false]) {
    const { page, browser } = await openBrowser(t, { script })
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
    await browser.close()
  }
})

test('a page holds still while it is brought up to date: nothing but the end of a line moves', { skip, timeout: 240_000 }, async t => {
  const { panel, background } = await open(t, { BGTASK_ACTIONS: [slowActions(t), join(root, 'app', 'actions')].join(delimiter) })
  const loop = await background.addTask('demo/heartbeat', { intervalMs: 100 }, 'FOREVER')
  const slow = await background.addTask('slow/turn', {}, 'FOREVER')
  await background.addTask('demo/greet', {}, { delayMs: 3_600_000 })
  // Charts come with the first whole minute; here they are there from the beginning.
  const minute = { iterations: 20, durations: { 80: 20 }, cpuMs: 900, memoryBytes: 61e6, outputBytes: 8_000 }
  await insertSamples(
    background.db,
    [loop, slow].flatMap(({ id }) =>
      [3, 2, 1].map(ago => ({ ...emptySample(id, spanAt(Date.now(), 60_000) - ago * 60_000, 60_000), ...minute })),
    ),
  )
  const watch = async (page: Page, path: string, width: number) => {
    await page.goto(`${panel.address}/admin${path}`)
    await page.evaluate(watchShifts)
    // Long enough for seconds and counts to get a digit more, and for slow iterations to come and go.
    await until('it was looked at for 12 s', () => page.evaluate<boolean>('window.seconds >= 12'), 60_000)
    if (/\d$/.test(path)) assert.ok((await page.evaluate<number>('window.updates')) > 5, 'It was not brought up to date at all.')
    assert.deepEqual(await page.evaluate<string[]>('window.shifts'), [], `${path} at ${width}`)
  }
  // All at once, since it is a wait and little else; a session has so many streams.
  const pages = ['', '/core/bgtask?exec_type=FOREVER', `/core/bgtask/${loop.id}`, `/core/bgtask/${slow.id}`]
  await until('the loop is up', async () => (await findTask(background.db, loop.id))?.state === 'running', 60_000)
  for (const width of [1280, 360]) {
    const { page, context, browser } = await openAs(t, panel, { width })
    await page.goto('about:blank')
    await Promise.all(pages.map(async path => watch(await context.newPage(), path, width)))
    await browser.close()
  }
})

/** A loop of which each iteration can be seen while it is under way. */
const slowActions = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-slow-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'slow'))
  const code = `import { execForeverInterval } from '${join(root, 'app', 'index.ts')}'
export const execute = () => execForeverInterval(() => new Promise(resolve => setTimeout(resolve, 2_500)), 1_000)
`
  writeFileSync(join(folder, 'slow', 'turn.ts'), code)
  return folder
}

/** Words that follow a figure go on by what the figure grew, to the next line as well if there is room; nothing else may move. */
const watchShifts = `
window.shifts = []
window.updates = 0
window.seconds = 0
setInterval(() => { window.seconds++ }, 1_000)
new MutationObserver(() => { window.updates++ }).observe(document.querySelector('main'), { childList: true, subtree: true, characterData: true })
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue
    for (const { node, previousRect, currentRect } of entry.sources) {
      if (!node) continue
      const element = node.nodeType === 1 ? node : node.parentElement
      const { display } = getComputedStyle(element)
      const isWords = node.nodeType !== 1 || display === 'inline'
      const onItsLine = previousRect.y === currentRect.y && (Math.abs(previousRect.right - currentRect.right) < 2 || display.startsWith('inline'))
      if (!isWords && !onItsLine) window.shifts.push(element.localName + '.' + element.className + ' ' + element.textContent.trim().slice(0, 60) + ': ' + JSON.stringify([previousRect, currentRect]))
    }
  }
}).observe({ type: 'layout-shift' })
`
