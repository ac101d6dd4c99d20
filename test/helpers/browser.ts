import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { freePort } from './free-port.ts'
import { until } from './scene.ts'
import { linkCompileCache } from './shared-compile-cache.ts'
import { shareDescriptions } from './shared-descriptions.ts'
import { chromiumPath } from './tools.ts'

const root = join(import.meta.dirname, '..', '..')

/** A real `node index.js serve` with a runtime folder of its own; everything it started is gone when the test is over. */
export interface ServedPanel {
  address: string
  runtime: string
  /** The first administrator's one-time link, when there is no user. */
  setupLink: string | null
  output(): string
  process: ChildProcess
  /** Starts it once more on the same port, after its process was ended. */
  again(): Promise<void>
}

export const password = 'a lantern over the harbour'

export const servePanel = async (t: TestContext, env: Record<string, string> = {}): Promise<ServedPanel> => {
  const runtime = mkdtempSync(join(tmpdir(), 'bgtask-panel-'))
  linkCompileCache(runtime)
  shareDescriptions(runtime)
  const port = await freePort()
  let output = ''
  const children: ChildProcess[] = []
  const start = () => {
    output = ''
    const child = spawn(process.execPath, [join(root, 'index.js'), 'serve'], {
      cwd: root,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, BGTASK_RUNTIME: runtime, PORT: String(port), BGTASK_AUTOSTART: 'off', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.push(child)
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    }
    const said = () => {
      if (child.exitCode !== null) throw new Error(`serve left with code ${child.exitCode}:\n${output}`)
      return /bgtask is at (\S+)\/admin/.exec(output)?.[1]
    }
    // How long that takes on a machine that is busy with other tests is no promise of ours.
    return until('the panel says where it is', said, 60_000)
  }
  t.after(async () => {
    for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
    // A supervisor that a visit has just started may not have said who it is: whatever lives on this folder is ended.
    await until('nothing lives on the runtime folder', () => livingOn(runtime).every(pid => end(pid)), 10_000)
    rmSync(runtime, { recursive: true, force: true, maxRetries: 5 })
  })
  const address = await start()
  const setupLink = env.BGTASK_ADMIN_PASSWORD
    ? null
    : await until('the link is printed', () => /(http\S+\/admin\/setup#\S+)/.exec(output)?.[1])
  const again = async () => {
    await start()
  }
  return { address, runtime, setupLink, output: () => output, process: children[0]!, again }
}

export interface BrowserOptions {
  /** false: as a browser without script sees it */
  script?: boolean
  width?: number
  theme?: 'light' | 'dark'
  locale?: string
  zone?: string
}

export interface Opened {
  browser: Browser
  /** Shares nothing with others of the same browser: no cookies, no cache, no connections. */
  context: BrowserContext
  page: Page
  problems: string[]
}

export const launchBrowser = (more: string[] = []): Promise<Browser> =>
  chromium.launch({ executablePath: chromiumPath(), args: [...chromiumArguments, ...more] })

/** A page of somebody who has not been here before; gone when the test is over. */
export const openPage = async (t: Pick<TestContext, 'after'>, browser: Browser, options: BrowserOptions = {}): Promise<Opened> => {
  const context = await browser.newContext({
    javaScriptEnabled: options.script ?? true,
    viewport: { width: options.width ?? 1280, height: 900 },
    colorScheme: options.theme ?? 'light',
    locale: options.locale ?? 'en-GB',
    ...(options.zone ? { timezoneId: options.zone } : {}),
  })
  t.after(() => context.close())
  const page = await context.newPage()
  const problems: string[] = []
  page.on('console', message => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
  })
  page.on('pageerror', error => problems.push(error.message))
  return { browser, context, page, problems }
}

/** The cookies of a new session, without a browser. */
export const cookiesOf = async ({ address }: ServedPanel, name = 'admin'): Promise<string> => {
  const cookieOf = (answer: Response) =>
    answer.headers
      .getSetCookie()
      .map(one => one.split(';')[0])
      .join('; ')
  const form = await fetch(`${address}/admin/login`)
  const token = /name="_csrf" value="([^"]+)"/.exec(await form.text())![1]!
  const headers = { origin: address, cookie: cookieOf(form) }
  const body = new URLSearchParams({ _csrf: token, name, password })
  const answer = await fetch(`${address}/admin/login`, { method: 'POST', redirect: 'manual', headers, body })
  if (answer.status !== 303) throw new Error(`Signing in was answered by ${answer.status}.`)
  return cookieOf(answer)
}

/** As `admin`, by the form. */
export const signInByForm = async (page: Page, panel: ServedPanel) => {
  await page.goto(`${panel.address}/admin/login`)
  await page.fill('#f-name', 'admin')
  await page.fill('#f-password', password)
  await page.click('main button')
  await page.waitForURL('**/admin')
}

const chromiumArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Pages live too short for code that is made faster to be worth its making: a quarter of the work less, and the same scripts.
  '--js-flags=--no-opt --no-maglev',
]

const livingOn = (runtime: string): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => environmentOf(pid).includes(`BGTASK_RUNTIME=${runtime}`))

const environmentOf = (pid: number): string[] => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
  } catch {
    return [] // it is gone, or is somebody else's
  }
}

/** @returns false: it is being ended and should be looked for again */
const end = (pid: number): boolean => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  return false
}
