import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { password, servePanel, signInByForm } from '../helpers/browser.ts'
import { looksGood } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
const actions = join(import.meta.dirname, '..', 'fixtures', 'actions')

const open = async (t: TestContext, options: Parameters<typeof openBrowser>[1] = {}) => {
  const env = { BGTASK_ADMIN_PASSWORD: password, BGTASK_ACTIONS: actions }
  const panel = await servePanel(t, env)
  const background = await openBackground(await loadConfig({ BGTASK_RUNTIME: panel.runtime, ...env }), { migrate: false })
  t.after(() => background.close())
  const loop = await background.addTask('test/forever', {}, { execType: 'FOREVER' })
  for (let n = 0; n < 3; n++) await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const { page, problems } = await openBrowser(t, options)
  await signInByForm(page, panel)
  return { page, problems, root: `${panel.address}/admin`, loop: `${panel.address}/admin/core/bgtask/${loop.id}` }
}

const focused = (page: Page) =>
  page.evaluate<string>("document.activeElement?.getAttribute('name') ?? document.activeElement?.getAttribute('href') ?? ''")

for (const [locale, title, off] of [
  ['en-GB', 'Keyboard', 'Turn single keys off'],
  ['zh-CN', '键盘', '关闭单键操作'],
] as const) {
  test(`single keys go to pages, search, walk lists and show what they do: ${locale}`, { skip, timeout: 90_000 }, async t => {
    const { page, problems, root, loop } = await open(t, { locale })
    const press = async (keys: string) => {
      for (const key of keys.split(' ')) await page.keyboard.press(key)
    }
    // Every place that the list names is where its keys lead, from any page.
    await press('?')
    const dialog = page.locator('#keys-help')
    await dialog.waitFor()
    assert.equal(await dialog.locator('#keys-help-title').textContent(), title)
    await looksGood(page, 'with the list of keys')
    const places = await dialog
      .locator('[data-keys]')
      .evaluateAll(links => links.map(link => [link.getAttribute('data-keys')!, (link as unknown as { href: string }).href]))
    assert.ok(places.length > 12)
    await press('Escape')
    assert.ok(await dialog.isHidden())
    for (const [keys, href] of places) {
      await Promise.all([page.waitForEvent('load'), press(keys!)])
      assert.equal(page.url(), href, keys)
    }

    // The field that searches, and nothing else while one types there.
    await page.goto(`${root}/core/bgtask`)
    await press('/')
    assert.equal(await focused(page), 'text')
    await page.keyboard.type('g o?jk/')
    assert.equal(await page.locator('input[name=text]').inputValue(), 'g o?jk/')
    assert.equal(page.url(), `${root}/core/bgtask`)
    assert.ok(await dialog.isHidden())
    await page.locator('select[name=state]').focus()
    await press('g o')
    assert.equal(page.url(), `${root}/core/bgtask`)
    await page.locator('h1').click()
    for (const keys of ['Control+/', 'Alt+g', 'Meta+k', 'Control+g', 'o', 'g x', 'g Escape', 'x']) await press(keys)
    assert.equal(page.url(), `${root}/core/bgtask`)

    // Lists.
    const lines = await page.locator('.rows tbody tr').count()
    assert.ok(lines >= 4)
    const walked = new Set<string>()
    for (let n = 0; n < lines + 2; n++) {
      await press('j')
      walked.add(await focused(page))
    }
    assert.equal(walked.size, lines)
    await press('k')
    assert.equal(await focused(page), [...walked].at(-2))

    // On a page with output the field above it.
    await page.goto(loop)
    await press('/')
    assert.ok(['q', ''].includes(await focused(page)))

    // They can be turned off, and on again.
    await page.goto(`${root}/keys`)
    await looksGood(page, 'the page of keys')
    await page.click(`main button:has-text("${off}")`)
    await page.locator('main [role=status]').waitFor()
    await press('g o')
    await press('?')
    assert.equal(page.url(), `${root}/keys`)
    await page.goto(root)
    assert.equal(await page.locator('#keys-help').count(), 0)
    await press('g t')
    assert.equal(page.url(), root)
    await page.goto(`${root}/keys`)
    await Promise.all([page.waitForEvent('load'), page.click('main form button')])
    await Promise.all([page.waitForURL(root), press('g o')])
    assert.deepEqual(problems, [])
  })
}

test('all that can be clicked on a page can be reached by Tab, and one sees where one is', { skip, timeout: 90_000 }, async t => {
  const { page, root, loop } = await open(t)
  for (const address of [root, `${root}/core/bgtask`, loop, `${root}/keys`]) {
    await page.goto(address)
    const seen = await page.evaluate<string[]>(`(() => {
      const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary, [tabindex="0"]')].filter(element => element.checkVisibility({ visibilityProperty: true }) && !element.disabled)
      window.reach = new Map(all.map((element, index) => [element, index]))
      document.activeElement.blur()
      return all.map(element => element.outerHTML.slice(0, 120))
    })()`)
    const reached = new Set<number>()
    const unseen: string[] = []
    for (let presses = 0; presses < seen.length * 2 + 20; presses++) {
      await page.keyboard.press('Tab')
      const at = await page.evaluate<{ index: number; isSeen: boolean } | null>(`(() => {
        const { activeElement } = document
        if (activeElement === document.body) return null
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(activeElement)
        return { index: window.reach.get(activeElement) ?? -1, isSeen: (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none' }
      })()`)
      if (at === null) {
        if (reached.size > 0) break
        continue
      }
      if (at.index >= 0) reached.add(at.index)
      if (!at.isSeen) unseen.push(seen[at.index] ?? 'another element')
    }
    assert.deepEqual(
      seen.filter((_, index) => !reached.has(index)),
      [],
      `${address} has what Tab does not reach`,
    )
    assert.deepEqual(unseen, [], `${address} has focus that nobody sees`)
  }
})

test('without script the list of keys is a page that says so', { skip, timeout: 60_000 }, async t => {
  const { page, root } = await open(t, { script: false })
  await page.click('.foot-keys')
  await page.waitForURL(`${root}/keys`)
  assert.match((await page.locator('main').textContent())!, /They need script/)
  assert.ok((await page.locator('main kbd').count()) > 20)
  await page.click('main button')
  await page.locator('main [role=status]', { hasText: 'They are turned off in this browser.' }).waitFor()
})
