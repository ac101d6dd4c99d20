import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findTask } from '../../app/store/find-task.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { emptySample, spanAt } from '../../app/task/sample.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'
import { openAs, openReadingPanel } from './reading-panel.ts'

const skip = chromiumMissing()
const root = join(import.meta.dirname, '..', '..')

test('a page holds still while it is brought up to date, also when the first figures come: nothing but the end of a line moves', {
  skip,
  timeout: 240_000,
}, async t => {
  const { panel, background } = await openReadingPanel(t, {
    BGTASK_ACTIONS: [slowActions(t), join(root, 'app', 'actions')].join(delimiter),
  })
  const loop = await background.addTask('demo/heartbeat', { intervalMs: 100 }, 'FOREVER')
  const slow = await background.addTask('slow/turn', {}, 'FOREVER')
  await background.addTask('demo/greet', {}, { delayMs: 3_600_000 })
  const minute = { iterations: 20, durations: { 80: 20 }, cpuMs: 900, memoryBytes: 61e6, outputBytes: 8_000 }
  const hasRun = (id: number) =>
    insertSamples(
      background.db,
      [3, 2, 1].map(ago => ({ ...emptySample(id, spanAt(Date.now(), 60_000) - ago * 60_000, 60_000), ...minute })),
    )
  await hasRun(loop.id)
  for (const width of [1280, 360]) {
    const { page, context } = await openAs(t, panel, { width })
    await until('the loop is up', async () => (await findTask(background.db, loop.id))?.state === 'running', 60_000)
    for (const path of ['', '/core/bgtask?exec_type=FOREVER', `/core/bgtask/${loop.id}`, `/core/bgtask/${slow.id}`]) {
      const address = `${panel.address}/admin${path}`
      const isFirst = path.endsWith(`/${slow.id}`)
      if (isFirst)
        await until('its page has no figures', async () => {
          await background.db.kysely.deleteFrom('bg_sample').where('task_id', '=', slow.id).execute()
          await page.goto(address)
          return (await page.content()).includes('There are no figures of this time yet')
        })
      else await page.goto(address)
      await page.evaluate(watchShifts)
      if (isFirst) {
        await hasRun(slow.id)
        await page.waitForSelector('.chart .chart-line', { state: 'attached' })
      }
      // Long enough for seconds and counts to get a digit more, and for slow iterations to come and go.
      await until('it was looked at for 12 s', () => page.evaluate<boolean>('window.seconds >= 12'), 60_000)
      if (/\d$/.test(path)) assert.ok((await page.evaluate<number>('window.updates')) > 5, 'It was not brought up to date at all.')
      assert.deepEqual(await page.evaluate<string[]>('window.shifts'), [], `${path} at ${width}`)
    }
    await context.close()
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
