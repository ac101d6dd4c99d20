import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/**
 * What is wrong with how a page looks: wider than the screen, or than the card it lies in, and whatever axe finds. Best without transitions:
 * a colour on its way to another one is no fault.
 * @param options.script false: the page cannot run axe
 */
export const faultsOf = async (page: Page, where: string, { script = true }: { script?: boolean } = {}): Promise<string[]> => {
  const wide = (await page.evaluate<string[]>(tooWide)).map(what => `${where}: too wide: ${what}`)
  if (!script) return wide
  if (!(await page.evaluate<boolean>('"axe" in window'))) await page.evaluate(axeSource)
  const violations = await page.evaluate<{ id: string; nodes: { html: string; failureSummary: string }[] }[]>(
    "axe.run({ preload: false, resultTypes: ['violations'] }).then(({ violations }) => violations)",
  )
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map(node => `${where}: ${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`),
  )
  return [...wide, ...found]
}

/** That there are none. */
export const looksGood = async (page: Page, where: string, options?: Parameters<typeof faultsOf>[2]): Promise<void> =>
  assert.deepEqual(await faultsOf(page, where, options), [])

const tooWide = `[document.documentElement, ...document.querySelectorAll('.card:not(.table-card)')]
  .filter(element => element.scrollWidth > element.clientWidth)
  .map(element => element.localName + ' ' + element.className + ': ' + element.textContent.trim().slice(0, 80))`
