import { after, type TestContext } from 'node:test'
import type { Browser } from 'playwright-core'
import { type BrowserOptions, launchBrowser, type Opened, openPage } from './browser.ts'

let shared: Promise<Browser> | undefined

// Outside of all tests: when those of the file are over.
after(async () => {
  await (await shared)?.close()
})

/**
 * A page in a context of its own, which ends with the test; the browser around it is one for all tests of a file, since the start of a browser
 * takes more than what most of them do with it.
 */
export const openBrowser = async (t: TestContext, options?: BrowserOptions): Promise<Opened> => {
  shared ??= launchBrowser()
  return openPage(t, await shared, options)
}
