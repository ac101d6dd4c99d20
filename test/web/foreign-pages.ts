import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { linkHash } from '../../app/web/first-link.ts'
import { launchBrowser, password } from '../helpers/browser.ts'
import {
  type Attack,
  type ForeignSite,
  leadingPosts,
  leadingVectors,
  quietPosts,
  quietVectors,
  startForeignSite,
  startSwitch,
  type Vector,
} from '../helpers/foreign-site.ts'
import { type ListeningPanel, listenPanel } from '../helpers/listening-panel.ts'
import { passTime } from '../helpers/pass-time.ts'
import { until } from '../helpers/scene.ts'

/*
 * Somebody is signed in and opens a page of somebody else, which tries everything that a page can make a browser send. Each request has to
 * reach the panel (or the browser itself refused to send it), and nothing may come of it: no loop started or stopped, no task, no audit row,
 * no other session.
 */

type Where = (typeof wheres)[number]
const wheres = ['another site', 'another port of the same host', 'a rebound name'] as const

/** Tries all of it from all places. @param publicUrl of a panel with a name in the local network, without TLS; null: on 127.0.0.1 */
export const attackPanel = async (t: TestContext, publicUrl: string | null) => {
  const stage = await setUp(t, publicUrl)
  for (const where of wheres) {
    // Down: a visit would start it. Up: everything else would do something.
    for (const state of ['down', 'up'] as const) {
      if (state === 'up') stage.panel.standIn()
      await attackFrom(t, stage, where, state)
      if (state === 'up') stage.panel.standDown()
    }
  }
}

export interface Stage {
  panel: ListeningPanel
  foreign: ForeignSite
  context: BrowserContext
  page: Page
  /** Points the name of the rebound page at somebody else's server, or at the panel. */
  point(at: 'elsewhere' | 'the panel'): void
}

export const setUp = async (t: TestContext, publicUrl: string | null): Promise<Stage> => {
  const panel = await listenPanel({ env: publicUrl ? { BGTASK_PUBLIC_URL: publicUrl } : {} })
  t.after(() => panel.close())
  const foreign = await startForeignSite()
  t.after(() => foreign.close())
  const names = await startSwitch(foreign.port)
  t.after(() => names.close())
  const port = new URL(panel.origin).port || '80'
  const rules = [
    'MAP evil.test 127.0.0.1',
    `MAP panel.lan:80 127.0.0.1:${panel.port}`,
    'MAP panel.lan 127.0.0.1',
    `MAP rebound.test:${port} 127.0.0.1:${names.port}`,
  ]
  const browser = await launchBrowser([`--host-resolver-rules=${rules.join(', ')}`])
  t.after(() => browser.close())
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${panel.origin}/admin/login`)
  await page.fill('#f-name', 'admin')
  await page.fill('#f-password', password)
  await page.click('main button')
  await page.waitForURL('**/admin')
  await until('the visit has started the loop', () => readSupervisor(panel.runtime))
  await panel.endLoop()
  // The next start by a visit would be allowed again: what starts nothing from here on was refused, and not too early.
  passTime(startEveryMs)
  return {
    panel,
    foreign,
    context,
    page,
    point: at => names.turnTo(at === 'elsewhere' ? foreign.port : panel.port),
  }
}

/** Visits start the loop at most this often (app/web/loop.ts). */
export const startEveryMs = 5_000

const attackFrom = async (t: TestContext, stage: Stage, where: Where, state: 'down' | 'up') => {
  const { panel, foreign, context } = stage
  const targets = await targetsOf(panel)
  const ownHost = new URL(panel.origin).hostname
  const port = new URL(panel.origin).port || '80'
  const host = { 'another site': 'evil.test', 'another port of the same host': ownHost, 'a rebound name': `rebound.test:${port}` }[where]
  // A page of the rebound name asks its own origin, which has become the panel.
  const base = where === 'a rebound name' ? `http://rebound.test${port === '80' ? '' : `:${port}`}` : panel.origin
  const attack = (vector: Vector, target: Target, index: number): Attack => ({
    vector,
    url: `${base}${target.path}${target.path.includes('?') ? '&' : '?'}from=${index}-${vector.replaceAll(' ', '-')}`,
    ...(target.fields ? { fields: target.fields } : {}),
  })
  const gets = targets.filter(({ method }) => method === 'GET')
  const posts = targets.filter(({ method }) => method === 'POST')
  const all = (vectors: readonly Vector[], on: Target[]) =>
    vectors.flatMap(vector => on.map(target => attack(vector, target, targets.indexOf(target))))
  // Led there one after another: what acts in this state. Once in all ways, the other forms once each.
  const acting = gets.filter(({ path }) => (state === 'down' ? path === '/admin' : /restart|login/.test(path)))
  const often = posts.filter(({ path }) => /\/restart$|\/bgtask$|\/login$/.test(path))
  // A browser tells another port of the same host from a page of ours least of all: its cookies go along.
  const once = where === 'another port of the same host' ? posts.filter(target => !often.includes(target)) : []
  const formVectors: readonly Vector[] = where === 'a rebound name' ? ['form POST'] : leadingPosts
  const forms =
    state === 'down'
      ? all(
          formVectors,
          posts.filter(({ path }) => path.endsWith('/loop/start')),
        )
      : [...all(formVectors, often), ...all(['form POST'], once)]
  const faults: string[] = []
  const lastAudit = () => Number(panel.sql('SELECT MAX(id) AS id FROM bg_audit')[0]!.id)
  let known = lastAudit()
  let before = await stateOf(stage)
  // Under a name without TLS a browser says nothing of where a request comes from but by Referer, and whoever sends it can leave that out. So
  // for what shares our cookies (another port of this name), and for what began on a page of ours, a visit looks as if it were typed. It may
  // start the loop, which is where it ought to be; all else holds there too.
  const looksTyped = panel.config.publicUrl !== null && state === 'down'
  const mayStart = looksTyped && where === 'another port of the same host'
  const unharmed = async (what: string, { mayStart = false } = {}) => {
    const now = await stateOf(stage)
    if (now === before) return
    const acts = panel.sql('SELECT act, via FROM bg_audit WHERE id > ?', known).map(({ act, via }) => `${act}, ${via}`)
    if (!mayStart || acts.some(act => act !== 'loop-started, typed')) faults.push(`${what}: ${acts} ${differences(before, now)}`)
    else {
      await until('what was started is up', () => readSupervisor(panel.runtime))
      await panel.endLoop()
      passTime(startEveryMs)
    }
    known = lastAudit()
    before = await stateOf(stage)
  }

  const tab = await context.newPage()
  const carryOut = async (attacks: Attack[]) => {
    stage.point('elsewhere')
    await tab.goto(foreign.page(host))
    stage.point('the panel')
    panel.seen.length = 0
    await tab.evaluate(`carryOut(${JSON.stringify(attacks)})`)
    if (attacks.some(({ vector }) => clicked.has(vector))) await tab.click('#go')
  }
  const reached = (given: Attack) =>
    panel.seen.some(({ request, status }) => status !== null && request.url!.includes(new URL(given.url).searchParams.get('from')!))

  // A page that is open follows what happens by a stream, which has no end.
  const allAnswered = () =>
    panel.seen.every(({ request, status }) => status !== null || request.socket.destroyed || request.url!.startsWith('/admin/live'))

  const quiet = quietly(where, state, all, gets, posts)
  await carryOut(quiet)
  const must = quiet.filter(({ vector }) => !browsersDecide.has(vector))
  await until(
    'all of it has reached the panel, and is answered',
    () => must.every(reached) && allAnswered(),
    30_000,
    () => JSON.stringify(must.filter(one => !reached(one)).map(({ vector, url }) => `${vector} ${url}`)),
  )
  await unharmed('quiet requests', { mayStart })
  const count = { sent: quiet.length, arrived: quiet.filter(reached).length }

  // Whatever comes under a rebound name is refused for that; elsewhere it matters how the visitor is led here.
  const few: readonly Vector[] = ['link click', 'form GET']
  const led = acting.flatMap(target =>
    all(where !== 'a rebound name' && /\/admin$|restart$/.test(target.path) ? leadingVectors : few, [target]),
  )
  for (const given of [...led, ...forms]) {
    await carryOut([given])
    const arrivedAt = () => (newTab.has(given.vector) ? context.pages().find(one => one !== stage.page && one !== tab) : tab)
    await until(
      `${given.vector} has led to ${given.url}`,
      async () => reached(given) && allAnswered() && (await hasArrived(arrivedAt(), new URL(base).host)),
      15_000,
      () => JSON.stringify([context.pages().map(one => one.url()), panel.seen.map(({ request, status }) => [request.url, status])]),
    )
    await unharmed(`${given.vector} to ${given.url}`, { mayStart })
    // The Host guard stands before all else, so not even an error page of ours gets to the rebound page.
    if (where === 'a rebound name' && panel.seen.some(({ status }) => status !== null && status !== 421))
      faults.push(`${given.vector} was not answered by 421`)
    for (const other of context.pages()) if (other !== stage.page && other !== tab) await other.close()
    count.sent++
    count.arrived++
  }
  if (where !== 'a rebound name') {
    for (const { path } of acting.filter(target => !target.path.includes('login'))) {
      // From a page of ours to one elsewhere, which sends the visitor back here.
      await tab.goto(`${panel.origin}/admin/core/bgtask`)
      const away = foreign.redirect(host, `${panel.origin}${path}${path.includes('?') ? '&' : '?'}from=round-trip`)
      await tab.evaluate(`document.querySelector('main').insertAdjacentHTML('afterbegin', '<a id=go href="${away}">away</a>')`)
      panel.seen.length = 0
      await tab.click('#go')
      await until(
        `the round trip ends at ${path}`,
        async () => allAnswered() && tab.url().includes('from=round-trip') && (await hasArrived(tab, new URL(base).host)),
      )
      await unharmed(`a round trip to ${path}`, { mayStart: looksTyped })
    }
    // A page elsewhere goes back to where the visitor was before.
    if (state === 'up') {
      await tab.goto(`${panel.origin}/admin/core/bgtask/restart`)
      await tab.goto(foreign.page(host))
      await tab.evaluate('setTimeout(() => history.back())')
      await until('it goes back', () => hasArrived(tab, new URL(base).host))
      await unharmed('back to the page that stops')
    }
  }
  await tab.close()
  assert.deepEqual(faults, [], `${where}, the loop is ${state}`)
  t.diagnostic(`${where}, ${state}: ${count.sent} requests, ${count.arrived} reached the panel`)
}

/**
 * Every way to every address while the loop is up. While it is down only a visit and the button that starts it would do anything else than
 * then: every way to those, and one to each other address. Under a rebound name all is refused for its Host, whatever the way and the
 * address: every way once, and every address once.
 */
const quietly = (
  where: Where,
  state: 'down' | 'up',
  all: (vectors: readonly Vector[], on: Target[]) => Attack[],
  gets: Target[],
  posts: Target[],
): Attack[] => {
  if (where !== 'a rebound name' && state === 'up') return [...all(quietVectors, gets), ...all(quietPosts, posts)]
  const [visit, start] = [gets, posts].map(targets => targets.filter(({ path }) => path === '/admin' || path.endsWith('/loop/start')))
  const others = (targets: Target[], than: Target[]) => targets.filter(target => !than.includes(target))
  return [
    ...all(quietVectors, visit!),
    ...all(['fetch no-cors'], others(gets, visit!)),
    ...all(quietPosts, start!),
    ...all(['fetch POST form'], others(posts, start!)),
  ]
}

/** Whether a browser fetches ahead is up to it; across sites it does so only without cookies, or not at all. */
const browsersDecide = new Set<Vector>(['prefetch', 'prefetch by rules', 'prerender by rules'])
const newTab = new Set<Vector>(['link in a new tab', 'window.open'])
const clicked = new Set<Vector>(['link click', 'link click without referrer', 'link in a new tab', 'window.open', '302 after a click'])

/** Whether a page of the panel is there and leads no further by itself. */
const hasArrived = async (page: Page | undefined, host: string): Promise<boolean> => {
  if (!page || !URL.canParse(page.url()) || new URL(page.url()).host !== host) return false
  try {
    return await page.evaluate<boolean>(
      "document.readyState === 'complete' && document.querySelector('meta[http-equiv=refresh], [data-keeps-fragment]') === null",
    )
  } catch {
    return false // it is just being left for the next
  }
}

interface Target {
  method: 'GET' | 'POST'
  path: string
  fields?: Record<string, string>
}

const targetsOf = async (panel: ListeningPanel): Promise<Target[]> => {
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 86_400_000 })
  const link = 'a-link-that-somebody-overheard'
  panel.sql(
    "INSERT OR IGNORE INTO bg_once_link (token_hash, purpose, expires_at, detail) VALUES (?, 'login', ?, '1')",
    linkHash(link),
    Date.now() + 600_000,
  )
  const post = (path: string, fields: Record<string, string> = {}): Target => ({
    method: 'POST',
    path,
    fields: { _csrf: 'guessed', ...fields },
  })
  return [
    { method: 'GET', path: '/admin' },
    { method: 'GET', path: '/admin/core/bgtask/restart' },
    { method: 'GET', path: '/admin/core/bgtask/restart?k=guessed' },
    { method: 'GET', path: '/admin/login' },
    { method: 'GET', path: '/admin/login/link' },
    { method: 'GET', path: `/admin/core/bgtask/${id}/deletion` },
    { method: 'GET', path: '/admin/logout' },
    post('/admin/core/bgtask/restart'),
    post('/admin/core/bgtask/loop/start'),
    post('/admin/core/bgtask/loop/stop'),
    post('/admin/core/bgtask/loop/hold'),
    post('/admin/core/bgtask', { action: 'test/ok', params: '{}' }),
    post(`/admin/core/bgtask/${id}/cancellation`),
    post(`/admin/core/bgtask/${id}/clone`),
    post('/admin/core/bgtask/debug', { id: String(id), limit_s: '10' }),
    post('/admin/config/users', { name: 'intruder', role: 'admin', password, repeated: password }),
    post('/admin/config/tokens', { name: 'intruder', scope: 'loop:restart', life: 'never' }),
    post('/admin/account', { current: password, password: 'another one of mine', repeated: 'another one of mine' }),
    post('/admin/preferences', { language: 'zh', theme: 'dark' }),
    post('/admin/logout'),
    post('/admin/login', { name: 'viewer', password }),
    post('/admin/login/link', { token: link }),
    post('/admin/setup', { token: link, name: 'intruder', password, repeated: password }),
    post('/api/v1/loop/restart'),
    post('/api/v1/cron/run'),
    post('/admin/config/system/cron'),
    post('/admin/config/system/cron/settings', { every_ms: '3600000' }),
    post('/admin/reports/status/cron-key'),
    post('/admin/config/notifications/test', { channel: 'webhook' }),
  ]
}

/** Everything that an attack might change: rows, flags, the loop, and what the visitor's browser holds for the panel. One line each. */
const stateOf = async ({ panel, context }: Stage): Promise<string> => {
  // One that says no more than that cookies of ours come along (kept-back.ts), for a minute.
  const held = (await context.cookies(panel.origin)).filter(({ name }) => name !== 'bgtask-here')
  const cookies = held.map(({ name, value, domain }) => `cookie ${name}=${value} of ${domain}`)
  const [rows, flags, epoch] = JSON.parse(panel.snapshot()) as [unknown[], unknown[], string | null]
  return [...rows, ...flags]
    .map(line => JSON.stringify(line))
    .concat(cookies, `the loop is ${epoch ?? 'down'}`)
    .join('\n')
}

const differences = (before: string, now: string): string => {
  const [old, fresh] = [before.split('\n'), now.split('\n')]
  return [
    ...old.filter(line => !fresh.includes(line)).map(line => `- ${line}`),
    ...fresh.filter(line => !old.includes(line)).map(line => `+ ${line}`),
  ].join(' ')
}
