import type { TestContext } from 'node:test'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { password, type ServedPanel, servePanel, signInByForm } from '../helpers/browser.ts'
import { openBrowser } from '../helpers/open-browser.ts'

/** A panel in a process of its own, and its database. */
export const openReadingPanel = async (t: TestContext, more: Record<string, string> = {}) => {
  const env = { BGTASK_ADMIN_PASSWORD: password, BGTASK_AUTOSTART: 'off', ...more }
  const panel = await servePanel(t, env)
  const background = await openBackground(await loadConfig({ ...env, BGTASK_RUNTIME: panel.runtime }))
  t.after(() => background.close())
  return { panel, background }
}

/** As `admin`, in a browser of its own. */
export const openAs = async (t: TestContext, panel: ServedPanel, options: Parameters<typeof openBrowser>[1]) => {
  const opened = await openBrowser(t, options)
  await signInByForm(opened.page, panel)
  return opened
}
