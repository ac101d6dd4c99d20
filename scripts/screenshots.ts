/*
 * Takes pictures of every page of a panel that has something to show: both themes, wide and narrow, English and Chinese.
 *
 *   node scripts/screenshots.ts            all of them into runtime/screenshots, and the README's into scripts/screenshots
 *   node scripts/screenshots.ts --readme   the README's alone
 *   node scripts/screenshots.ts tasks loop these pages alone; with dark, 360 or zh-CN only so
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { askCron } from '../app/api/ask-cron.ts'
import { type Background, openBackground } from '../app/api/background.ts'
import { queueOf } from '../app/api/queue.ts'
import { makeToken, revokeToken } from '../app/api/tokens.ts'
import { loadConfig } from '../app/config.ts'
import type { Db } from '../app/store/database.ts'
import { editTask } from '../app/store/edit-task.ts'
import { findTask } from '../app/store/find-task.ts'
import { insertSamples } from '../app/store/samples.ts'
import { type Durations, noteDuration } from '../app/task/durations.ts'
import { type TaskTerms, termsOf } from '../app/task/edit.ts'
import { rollUp, type Sample, spanAt } from '../app/task/sample.ts'
import { launchBrowser, openPage, password, type ServedPanel, servePanel, signInByForm } from '../test/helpers/browser.ts'
import { until } from '../test/helpers/scene.ts'

const root = join(import.meta.dirname, '..')
const forReadme = join(import.meta.dirname, 'screenshots')
const all = join(root, 'runtime', 'screenshots')

const shopCommands = {
  deploy: {
    description: 'Deploys a revision of the shop.',
    executable: join(root, 'scripts', 'demo', 'deploy.sh'),
    arguments: ['--environment={environment}', '{dryRun}', '{revision}'],
    parameters: {
      environment: { title: 'Environment', enum: ['staging', 'production'] },
      revision: { title: 'Revision', description: 'A commit: 7 to 40 of 0-9 and a-f.', type: 'string', pattern: '^[0-9a-f]{7,40}$' },
      dryRun: { title: 'Dry run', description: 'Only says what would be done.', type: 'boolean', flag: '--dry-run' },
    },
    timeoutMs: 60_000,
  },
  'clear-cache': { description: 'Empties the cache of pages.', executable: '/bin/true', arguments: [], role: 'admin' },
}

const cleanUps: (() => unknown)[] = []
const t = { after: (work: () => unknown) => cleanUps.push(work), diagnostic: () => {} } as unknown as TestContext
try {
  await takeAll()
} finally {
  for (const work of cleanUps.reverse()) await work()
}

/** Stands for a chat that takes messages. @returns its address */
async function takesAll(): Promise<string> {
  const server = createServer((_, response) => response.end())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/ops`
}

async function takeAll() {
  const actions = shopActions()
  const commandsFile = join(actions, '..', `${basename(actions)}-commands.json`)
  const writeCommands = (commands: object) => writeFileSync(commandsFile, JSON.stringify(commands), { mode: 0o600 })
  writeCommands(shopCommands)
  const env = {
    BGTASK_ADMIN_PASSWORD: password,
    BGTASK_AUTOSTART: 'on',
    BGTASK_ACTIONS: [actions, join(root, 'app', 'actions')].join(delimiter),
    BGTASK_COMMANDS: commandsFile,
    BGTASK_MODULES: shopModules(),
    BGTASK_NOTIFY_WEBHOOK: await takesAll(),
    BGTASK_NOTIFY_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}`,
    BGTASK_NOTIFY_ALLOW: '127.0.0.1',
    BGTASK_NOTIFY_SMTP: 'smtp://127.0.0.1:1',
    BGTASK_NOTIFY_FROM: 'bgtask@shop.example',
    BGTASK_NOTIFY_TO: 'ops@shop.example,kim@shop.example',
    BGTASK_NOTIFY_QUIET: '22:00-07:00 Europe/Berlin',
    BGTASK_NOTIFY_GATHER: '1',
  }
  const { address, runtime } = await servePanel(t, env)
  const background = await openBackground(await loadConfig({ ...env, BGTASK_RUNTIME: runtime }))
  t.after(() => background.close())
  const task = async (id: number) => (await findTask(background.db, id))!

  const mail = await background.addTask('mail/send', {}, 'FOREVER')
  const orders = await background.addTask('shop/orders', { supplier: 'north', atOnce: 50, apiKey: 'sk-orders-2026-a1' }, 'FOREVER')
  const prices = await background.addTask('shop/prices', {}, 'FOREVER')
  const ended = await background.addTask('report/month', { month: '2026-10' }, { type: 'report', creator: 'ada' })
  const later = await background.addTask('mail/remind', { user: 7 }, { delayMs: 3_600_000, unique: 'remind-7', creator: 'shop' })
  const failed = await background.addTask('report/month', { month: '1999-01' }, { type: 'report', creator: 'ben' })
  const running = await background.addTask('report/export', { rows: 10_000_000 }, { type: 'report', creator: 'ada' })
  for (let order = 1; order <= 6; order++) await background.addTask('mail/receipt', { order }, { type: 'mail', creator: 'shop' })
  const deployed = await background.sendCommand('deploy', { environment: 'staging', revision: 'a1b2c3d' }, { creator: 'ada' })
  await background.addSchedule('month-report', {
    cron: '0 6 1 * *',
    timeZone: 'Europe/Berlin',
    action: 'report/month',
    params: { month: '2026-10' },
  })
  await background.addSchedule('reminders', { everyMs: 900_000, action: 'mail/remind', overlap: 'skip', missed: 'skip' })
  const person = { name: 'ada', ip: '192.0.2.7', via: 'form' as const }
  await makeToken(background.db, person, { name: 'deploy', scopes: ['loop:restart', 'task:read', 'command:deploy'] })
  await makeToken(background.db, person, { name: 'shop backend', scopes: ['task:add:mail/*', 'task:add:report/month'], lifeMs: 'never' })
  const { token: old } = await makeToken(background.db, person, { name: 'an old laptop', scopes: ['task:read'] })
  await revokeToken(background.db, person, old.id)
  const letters = queueOf('letters', async () => background)
  for (const to of ['ada', 'nobody', 'ben', 'later']) await letters.createItem({ to, subject: 'Your order is on its way' })
  const { task: cronRun } = await askCron(background, { creator: 'ada' })
  await until('cron has run', async () => ['succeeded', 'failed'].includes((await task(cronRun.id)).state), 30_000)
  for (const to of ['cleo', 'dan']) await letters.createItem({ to, subject: 'Your order is on its way' })
  await insertSamples(background.db, shopSamples(orders.id, Date.now()))
  await until('orders are fetched', async () => (await task(orders.id)).state === 'running')
  await setLives(background.db, orders.id, Date.now())
  await changeOrders(background, orders.id, Date.now())
  // Six hours that nobody waited for: the loop of prices has run all the time, and died twice.
  await until('prices are compared', async () => (await task(prices.id)).state === 'running')
  await setLives(background.db, prices.id, Date.now())
  await until('there is something to see', async () => {
    const states = await Promise.all([mail, orders, prices, failed, running, deployed].map(async ({ id }) => (await task(id)).state))
    return states.join() === 'tripped,running,running,failed,running,succeeded'
  })

  const pages = {
    login: '/admin/login',
    overview: '/admin',
    loops: '/admin/core/bgtask?exec_type=FOREVER',
    tasks: '/admin/core/bgtask',
    'tasks-failed': '/admin/core/bgtask?state=failed',
    'tasks-key': '/admin/core/bgtask?unique=remind-7',
    'tasks-none': '/admin/core/bgtask?action=nothing/like-this',
    loop: `/admin/core/bgtask/${orders.id}`,
    'edit-loop': `/admin/core/bgtask/${orders.id}/edit`,
    'edit-conflict': `/admin/core/bgtask/${orders.id}/edit`,
    'edit-task': `/admin/core/bgtask/${later.id}/edit`,
    'loop-week': `/admin/core/bgtask/${orders.id}?span=7d`,
    'tripped-loop': `/admin/core/bgtask/${mail.id}`,
    lives: `/admin/core/bgtask/${prices.id}`,
    'post-mortem': `/admin/core/bgtask/${mail.id}/runs/1`,
    'failed-task': `/admin/core/bgtask/${failed.id}`,
    'running-task': `/admin/core/bgtask/${running.id}`,
    'cron-run': `/admin/core/bgtask/${cronRun.id}`,
    move: `/admin/core/bgtask/${later.id}/move`,
    'task-with-files': `/admin/core/bgtask/${ended.id}`,
    'new-task-choice': '/admin/core/bgtask/new',
    'new-task': '/admin/core/bgtask/new?action=report/month',
    failed: '/admin/core/bgtask/failed',
    recovery: '/admin/core/bgtask/recovery?do=retry',
    'recovery-discard': '/admin/core/bgtask/recovery?do=discard&action=mail/receipt',
    bulk: '/admin/core/bgtask/bulk?do=stop&exec_type=FOREVER',
    'bulk-deletion': '/admin/core/bgtask/bulk?do=deletion&state=failed',
    debug: `/admin/core/bgtask/debug?id=${failed.id}`,
    schedules: '/admin/config/schedules',
    'new-schedule-choice': '/admin/config/schedules/new',
    'new-schedule': '/admin/config/schedules/new?action=report/month',
    schedule: '/admin/config/schedules/1',
    cron: '/admin/config/system/cron',
    'cron-queue': '/admin/config/system/cron/queues/letters',
    'cron-key': '/admin/reports/status/cron-key',
    'cron-key-made': '/admin/reports/status/cron-key',
    status: '/admin/reports/status',
    restart: '/admin/core/bgtask/restart',
    account: '/admin/account',
    'second-factor': '/admin/account/second-factor',
    users: '/admin/config/users',
    'new-user': '/admin/config/users/new',
    user: '/admin/config/users/1',
    commands: '/admin/core/commands',
    'commands-empty': '/admin/core/commands',
    'commands-broken': '/admin/core/commands',
    'commands-fault': '/admin/core/commands',
    command: '/admin/core/commands/deploy',
    'command-ready': '/admin/core/commands/deploy',
    'command-refused': '/admin/core/commands/deploy',
    network: '/demo/network',
    deploy: '/demo/deploy',
    'deploy-ran': `/demo/deploy?task=${deployed.id}`,
    tokens: '/admin/config/tokens',
    notifications: '/admin/config/notifications',
    'new-token': '/admin/config/tokens/new',
    audit: '/admin/reports/audit',
    'audit-chain': '/admin/reports/audit/chain',
    'not-found': '/admin/nowhere',
  }
  const emptyPages = {
    'empty-overview': '/admin',
    'empty-tasks': '/admin/core/bgtask',
    'empty-failed': '/admin/core/bgtask/failed',
    'empty-schedules': '/admin/config/schedules',
    'empty-cron': '/admin/config/system/cron',
    'empty-commands': '/admin/core/commands',
    'empty-tokens': '/admin/config/tokens',
    'empty-notifications': '/admin/config/notifications',
    'empty-status': '/admin/reports/status',
  }
  /** What is done before a page is opened, and with it before its picture is taken. */
  const before: Record<string, () => unknown> = {
    'commands-empty': () => writeCommands({}),
    'commands-broken': () => writeCommands({ ...shopCommands, backup: { executable: 'backup.sh' } }),
    'commands-fault': () => writeFileSync(commandsFile, '{ "deploy": ', { mode: 0o600 }),
    command: () => writeCommands(shopCommands),
  }
  const ask = async (page: Page, revision: string) => {
    await page.selectOption('select[name="args.environment"]', 'staging')
    await page.fill('input[name="args.revision"]', revision)
    await page.click('main form button')
    await page.waitForLoadState()
  }
  const prepare: Record<string, (page: Page) => Promise<unknown>> = {
    'command-ready': page => ask(page, 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678'),
    'command-refused': async page => {
      await page.locator('input[name="args.revision"]').evaluate(input => input.removeAttribute('pattern'))
      await ask(page, '; rm -rf /')
    },
    'cron-key-made': async page => {
      const make = page.locator('main button.primary')
      if ((await make.count()) > 0) {
        await make.click()
        await page.waitForLoadState()
      }
    },
    'new-schedule': async page => {
      await page.fill('#f-cron', '0 9 * * 1#1')
      await page.click('button[formaction$="/preview"]')
      await page.waitForLoadState()
    },
    'loop-week': page => page.locator('#task-edits details.ask summary').last().click(),
    'edit-conflict': async page => {
      await page.locator('main input[name="seen"]').evaluate(input => input.setAttribute('value', '1.0'))
      await page.fill('input[name="params.atOnce"]', '400')
      await page.click('main button.primary')
      await page.waitForLoadState()
    },
    network: async page => {
      if ((await page.locator('[data-room] .tone-good').count()) === (await page.locator('[data-room]').count())) {
        await page.click('form[action="/demo/network"] button')
        await page.waitForLoadState()
      }
    },
  }
  const nothing = mkdtempSync(join(tmpdir(), 'bgtask-nothing-'))
  const emptyEnv = { BGTASK_ACTIONS: nothing, BGTASK_MODULES: nothing, BGTASK_COMMANDS: '' }
  let empty: ServedPanel | null = null
  const words = process.argv.slice(2)
  const readme = words.includes('--readme')
  const only = words.filter(name => name in pages || name in emptyPages)
  const some = <T extends string | number>(choices: T[]) => {
    const wanted = choices.filter(choice => words.includes(String(choice)))
    return wanted.length > 0 ? wanted : choices
  }
  mkdirSync(forReadme, { recursive: true })
  if (!readme) mkdirSync(all, { recursive: true })
  const browser = await launchBrowser()
  t.after(() => browser.close())
  for (const theme of some(['light', 'dark'])) {
    for (const width of readme ? [1280] : some([1280, 360])) {
      for (const locale of readme ? ['en-GB'] : some(['en-GB', 'zh-CN'])) {
        const { page } = await openPage(t, browser, { theme, width, locale })
        for (const [name, path] of Object.entries(pages)) {
          if (only.length > 0 && name !== 'login' && !only.includes(name)) continue
          before[name]?.()
          await page.goto(address + path)
          await prepare[name]?.(page)
          if (name === 'login') await page.waitForLoadState()
          const file = `${name}-${theme}-${width}-${locale}.png`
          if (!readme) await page.screenshot({ path: join(all, file), fullPage: true })
          if (name === 'login') {
            await page.fill('input[name="name"]', 'admin')
            await page.fill('input[type="password"]', password)
            await page.keyboard.press('Enter')
            await page.waitForURL('**/admin')
          }
          if (
            width === 1280 &&
            locale === 'en-GB' &&
            ((name === 'overview' && theme === 'light') || (name === 'loop' && theme === 'dark'))
          ) {
            await page.waitForTimeout(1_500) // a picture of live output needs some
            await page.screenshot({ path: join(forReadme, `${name}.png`), fullPage: name === 'overview' })
          }
        }
        const wanted = Object.entries(emptyPages).filter(([name]) => !readme && (only.length === 0 || only.includes(name)))
        if (wanted.length === 0) continue
        empty ??= await servePanel(t, { ...emptyEnv, BGTASK_ADMIN_PASSWORD: password })
        // A visitor of its own: cookies do not tell ports apart.
        const { page: other } = await openPage(t, browser, { theme, width, locale })
        await signInByForm(other, empty)
        for (const [name, path] of wanted) {
          await other.goto(empty.address + path)
          await other.screenshot({ path: join(all, `${name}-${theme}-${width}-${locale}.png`), fullPage: true })
        }
      }
    }
  }
  console.log(`The README's pictures are in ${forReadme}${readme ? '' : `, all of them in ${all}`}.`)
}

/** A module with hooks that work and fail, a queue with an item set aside, and a module that does not load. */
function shopModules(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-shop-modules-'))
  writeFileSync(
    join(folder, 'letters.ts'),
    `export const cron = ({ log }) => log('looked for letters')
export const cronQueueInfo = () => ({ letters: { timeS: 15, maxFailures: 1, worker: (letter, { log }) => { if (letter.to === 'nobody') throw new Error('There is no address for nobody.'); log('a letter to ' + letter.to + ' is sent') } } })
`,
  )
  writeFileSync(
    join(folder, 'rates.ts'),
    `export const cron = () => { throw new Error('https://rates.example.com/latest answered 503 Service Unavailable, three times in a row') }
`,
  )
  writeFileSync(join(folder, 'backup.ts'), `import { tar } from 'nowhere-to-be-found'\nexport const cron = () => tar()\n`)
  return folder
}

/** What people changed of the loop of orders in the last hour. */
async function changeOrders(background: Background, id: number, now: number) {
  const change = async (by: string, minutesAgo: number, after: Partial<TaskTerms>, more: { revertOf?: number } = {}) => {
    const seen = (await findTask(background.db, id))!
    const touched = minutesAgo < 20 ? [['params', 'apiKey']] : []
    const edit = { after: { ...termsOf(seen), ...after }, effect: 'next', by, via: 'form', revertOf: null, touched, ...more } as const
    await editTask(background.db, seen, edit, now - minutesAgo * 60_000)
  }
  // The run under way took the place of one that a reload had ended.
  await background.db.kysely
    .updateTable('bg_run')
    .set({
      outcome: 'interrupted',
      exit_code: null,
      end_facts: JSON.stringify({ stop: { because: 'reload', by: 'ada', at: now, killedAfterMs: null } }),
    })
    .where('task_id', '=', id)
    .where('outcome', '=', 'exited')
    .execute()
  await change('ben', 47, { params: { supplier: 'north', atOnce: 200, apiKey: 'sk-orders-2026-a1' } })
  await change('ada', 31, { params: { supplier: 'north', atOnce: 50, apiKey: 'sk-orders-2026-a1' }, graceMs: 30_000 }, { revertOf: 1 })
  await change('ada', 12, { params: { supplier: 'north', atOnce: 50, apiKey: 'sk-orders-2026-b2' } })
}

/** Runs of a loop that were before its first one, which is the last of them then. */
async function setLives(db: Db, taskId: number, now: number) {
  const [last] = await db.kysely.selectFrom('bg_run').selectAll().where('task_id', '=', taskId).execute()
  const ago = (minutes: number) => now - minutes * 60_000
  const lives = [
    [400, 290, 'killed', 'SIGKILL'],
    [289, 140, 'interrupted', null],
    [138, 52, 'out-of-memory', 'SIGABRT'],
    [45, 44, 'exited', null],
    [43, null, null, null],
  ] as const
  await db.kysely.deleteFrom('bg_run').where('task_id', '=', taskId).execute()
  for (const [index, [began, ended, outcome, signal]] of lives.entries())
    await db.kysely
      .insertInto('bg_run')
      .values({
        ...last!,
        ...{ number: index + 1 - lives.length + 1, started_at: ago(began), ended_at: ended === null ? null : ago(ended), outcome, signal },
        ...(outcome === 'exited' ? { exit_code: 1 } : {}),
      })
      .execute()
}

/** What the loop of orders did in a week that nobody waited for: quiet nights, a slow supplier, and an hour in which it threw. */
function shopSamples(taskId: number, now: number): Sample[] {
  const minutes: Sample[] = []
  for (let at = spanAt(now, 3_600_000) - 7 * 86_400_000; at < spanAt(now, 60_000); at += 60_000) {
    const hour = (at / 3_600_000) % 24
    const busy = 0.35 + 0.65 * Math.max(0, Math.sin(((hour - 5) / 24) * 2 * Math.PI))
    const slow = at > now - 22 * 60_000 && at < now - 14 * 60_000 ? 6 : 1
    const waves = 1 + 0.15 * Math.sin(at / 400_000) + 0.1 * Math.sin(at / 97_000)
    const durations: Durations = {}
    const iterations = Math.round((140 * busy * waves) / Math.sqrt(slow))
    for (let n = 0; n < iterations; n++) noteDuration(durations, 38 * slow * waves * (1 + (n % 20 === 0 ? 2.5 : (n % 7) / 14)))
    minutes.push({
      ...{ taskId, at, spanMs: 60_000, iterations, errors: slow > 1 ? Math.round(iterations / 5) : 0, durations },
      ...{
        cpuMs: Math.round(iterations * 9 * waves),
        memoryBytes: Math.round(61e6 + (at % 14_400_000) * 1.6),
        outputBytes: iterations * 88,
      },
    })
  }
  const hours = rollUp(minutes, 3_600_000)
  return [...minutes.filter(({ at }) => at > now - 3 * 3_600_000), ...rollUp(minutes, 600_000).slice(-160), ...hours]
}

/** A small shop, with a loop that fails, one that is fine, and reports. */
function shopActions(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-shop-'))
  const library = join(root, 'app', 'index.ts')
  const write = (name: string, body: string) => {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(
      join(folder, `${name}.ts`),
      `import { defineAction, execForeverInterval, failure } from ${JSON.stringify(library)}\nimport { mkdirSync, rmSync, writeFileSync } from 'node:fs'\nimport { dirname, join } from 'node:path'\n${body}\n`,
    )
  }
  const month = `{ type: 'object', properties: { month: { type: 'string', title: 'Month', description: 'Like 2026-10', pattern: '^\\\\d{4}-\\\\d{2}$' }, draft: { type: 'boolean', title: 'Only a draft', default: false } }, required: ['month'] }`
  const orders = `{ type: 'object', properties: { supplier: { enum: ['north', 'south'], title: 'Supplier' }, atOnce: { type: 'integer', title: 'Orders at once', minimum: 1, maximum: 1000 }, apiKey: { type: 'string', title: 'Key of the supplier' } }, required: ['supplier', 'atOnce'] }`
  write(
    'mail/send',
    `export default defineAction({ description: 'Sends what lies in the outbox.', execType: 'FOREVER', execute: () => { console.error('SMTP_HOST is not set'); process.exit(78) } })`,
  )
  write(
    'shop/orders',
    `export default defineAction({ description: 'Fetches new orders.', execType: 'FOREVER', params: ${orders}, execute: () => execForeverInterval(({ number, log }) => { log('orders fetched', { round: number, found: number % 4 }); if (number % 5 === 0) log.warn('the supplier answered late', { ms: 1200 + number }) }, 400) })`,
  )
  write(
    'shop/prices',
    `export default defineAction({ description: 'Compares prices.', execType: 'FOREVER', execute: () => execForeverInterval(({ log }) => log('prices compared', { products: 1280 }), 5_000) })`,
  )
  write(
    'report/month',
    `export default defineAction({ description: 'Builds the report of a month.', params: ${month}, execute: ({ params, log, artifact }) => { log('reading orders', { month: params.month }); if (params.month >= '2020') for (const [name, gone] of [['report ' + params.month + '.csv', false], ['orders with a rather long name, as people give them, ' + params.month + '.csv', false], ['draft.csv', true]]) { const path = join(process.env.BGTASK_RUNTIME, 'exports', name); mkdirSync(dirname(path), { recursive: true }); writeFileSync(path, 'x'.repeat(4_321_000)); artifact(path); if (gone) rmSync(path) } return params.month < '2020' ? failure('There are no orders before 2020.') : 'report-' + params.month + '.pdf, 14 pages' } })`,
  )
  write(
    'report/export',
    `export default defineAction({ description: 'Exports orders.', execute: async ({ params, progress, log, signal }) => { for (let done = 0; !signal.aborted; done += 38_000) { progress(Math.min(done, params.rows * 0.62), params.rows, 'orders of 2025'); log('rows written', { done }); await new Promise(resolve => setTimeout(resolve, 300)) } } })`,
  )
  write(
    'mail/receipt',
    `export default defineAction({ description: 'Sends the receipt of an order.', isolation: 'resident', execute: ({ params }) => { if (params.order % 2) throw new Error('SMTPError: 451 4.7.1 The mail server at mail.example.com:587 took too long to greet, and the connection was given up after 30000 ms (order ' + params.order + ')'); return 'sent' } })`,
  )
  write('shop', `export const stock = () => {}`)
  write('shop/stock', `export const execute = () => {} // there twice`)
  write('broken', `export const daily = () => {`)
  write('mail/remind', `export default defineAction({ description: 'Reminds a customer of the cart.', execute: () => 'reminded' })`)
  return folder
}
