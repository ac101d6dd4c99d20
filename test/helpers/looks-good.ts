import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/**
 * What is wrong with how a page looks: wider than the screen, or than the card it lies in, and whatever axe finds. Best without transitions:
 * a colour on its way to another one is no fault.
 * @param options.script false: the page cannot run axe
 * @param options.again the same document was looked at in another theme or width: axe looks once more for what these change
 */
export const faultsOf = async (
  page: Page,
  where: string,
  { script = true, again = false }: { script?: boolean; again?: boolean } = {},
): Promise<string[]> => {
  const wide = (await page.evaluate<string[]>(tooWide)).map(what => `${where}: too wide: ${what}`)
  if (!script) return wide
  if (!(await page.evaluate<boolean>('"axe" in window'))) await page.evaluate(axeSource)
  const violations = await page.evaluate<{ id: string; nodes: { html: string; failureSummary: string }[] }[]>(
    `axe.run(${JSON.stringify({ preload: false, resultTypes: ['violations'], ...(again ? { runOnly: ofLook } : { rules: offByDefault }) })}).then(({ violations }) => violations)`,
  )
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map(node => `${where}: ${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`),
  )
  return [...wide, ...found]
}

/** WCAG 2.2 AA, 2.5.8: 24 by 24 pixels, or as much room. axe asks for it only when told to. */
const offByDefault = { 'target-size': { enabled: true } }

/**
 * The rules whose answer may be another one in another theme or width: those about colours, sizes and what can be scrolled, and those about what has
 * a name, since that is made of what can be seen. All others are about elements and attributes, which stay.
 */
const ofLook = [
  ...['color-contrast', 'target-size', 'link-in-text-block', 'scrollable-region-focusable', 'css-orientation-lock'],
  ...[
    'aria-command-name',
    'aria-dialog-name',
    'aria-input-field-name',
    'aria-meter-name',
    'aria-progressbar-name',
    'aria-toggle-field-name',
  ],
  ...['button-name', 'input-button-name', 'link-name', 'select-name', 'summary-name', 'label', 'svg-img-alt', 'role-img-alt', 'image-alt'],
  ...['empty-heading', 'empty-table-header', 'page-has-heading-one', 'heading-order', 'region', 'skip-link', 'aria-hidden-focus'],
]

/** That there are none. */
export const looksGood = async (page: Page, where: string, options?: Parameters<typeof faultsOf>[2]): Promise<void> =>
  assert.deepEqual(await faultsOf(page, where, options), [])

const tooWide = `[document.documentElement, ...document.querySelectorAll('.card:not(.table-card)')]
  .filter(element => element.scrollWidth > element.clientWidth)
  .map(element => element.localName + ' ' + element.className + ': ' + element.textContent.trim().slice(0, 80))`
