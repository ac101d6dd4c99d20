import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { askCron } from '../../app/api/ask-cron.ts'
import { type Background, openBackground } from '../../app/api/background.ts'
import { existing } from '../../app/api/control.ts'
import { editTask } from '../../app/api/edit-task.ts'
import { queueOf } from '../../app/api/queue.ts'
import { createUser } from '../../app/api/users.ts'
import { loadConfig } from '../../app/config.ts'
import { insertBulk } from '../../app/store/bulk.ts'
import { insertSamples } from '../../app/store/samples.ts'
import { turnOnSecondFactor } from '../../app/store/second-factor.ts'
import { termsOf } from '../../app/task/edit.ts'
import { emptySample, spanAt } from '../../app/task/sample.ts'
import { routeRoles } from '../../app/web/roles.ts'
import { password, type ServedPanel, servePanel, signInByForm } from '../helpers/browser.ts'
import { latinLeft } from '../helpers/latin-left.ts'
import { faultsOf } from '../helpers/looks-good.ts'
import { openBrowser } from '../helpers/open-browser.ts'
import { until } from '../helpers/scene.ts'
import { chromiumMissing } from '../helpers/tools.ts'

const skip = chromiumMissing()
const root = join(import.meta.dirname, '..', '..')

/*
 * Every page of the panel in every state that it has: empty, full, at fault. Each is looked at by axe, wide and narrow, light and dark, and read in
 * Chinese, where no sentence of ours may be left in English. A page that is not visited here fails, by the table of routes.
 */
test('every page in every state: axe finds nothing, nothing is too wide, nothing is left in English', {
  skip,
  timeout: 400_000,
}, async t => {
  const { panel, background } = await brokenPanel(t)
  const { page, context, problems } = await openBrowser(t)
  const visited = new Set<string>()
  const faults: string[] = []
  let dark = false

  const inLanguage = (language: 'en' | 'zh') =>
    context.addCookies([{ name: 'bgtask-language', value: language, url: panel.address, sameSite: 'Strict' }])
  const read = async (path: string, prepare: Prepare = async () => undefined) => {
    visited.add(path.split('?', 1)[0]!)
    await inLanguage('zh')
    await page.setViewportSize({ width: 360, height: 900 })
    await page.goto(`${panel.address}${path}`)
    await prepare(page)
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN', path)
    const left = latinLeft(await page.content(), excepted)
    if (left.length > 0) faults.push(`${path} in Chinese: ${left.join(' | ')}`)
    faults.push(...(await faultsOf(page, `${path} in Chinese`, { script: false })))
  }
  const look = async (path: string, prepare: Prepare = async () => undefined) => {
    await read(path, prepare)
    await inLanguage('en')
    await page.goto(`${panel.address}${path}`)
    await prepare(page)
    // Wide in one theme, narrow in the other, and the next state the other way round.
    dark = !dark
    for (const [width, colorScheme, again] of [
      [1280, dark ? 'dark' : 'light', false],
      [360, dark ? 'light' : 'dark', true],
    ] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize({ width, height: 900 })
      faults.push(...(await faultsOf(page, `${path} ${colorScheme} ${width}`, { again })))
    }
  }
  await everyState({ look, read, page, panel, background })
  assert.deepEqual(faults, [])
  const unvisited = Object.keys(routeRoles).filter(route => isPage(route) && ![...visited].some(path => isAt(route, path)))
  assert.deepEqual(unvisited, [], 'Pages that are not looked at: add them to everyState.')
  assert.deepEqual(
    [...new Set(problems)].filter(problem => !/status of 4\d\d|^The specified value /.test(problem)),
    [],
  )
})

const noPages = [
  '/',
  '/healthz',
  '/healthz/live',
  '/healthz/ready',
  '/metrics',
  '/cron',
  '/cron/*',
  '/admin/assets/:hash/:name',
  '/admin/live',
]
const isPage = (route: string) => {
  const [method, url = ''] = route.split(' ')
  return method === 'GET' && !noPages.includes(url) && !/\/output$|\/report$|\/artifacts\/|\.csv$|^\/api\//.test(url)
}
const isAt = (route: string, path: string) => new RegExp(`^${route.split(' ')[1]!.replace(/:\w+/g, '[^/]+')}$`).test(path)

type Prepare = (page: Page) => Promise<unknown>

interface Scene {
  look(path: string, prepare?: Prepare): Promise<void>
  /** In Chinese alone: the page was looked at, only its words are others. */
  read(path: string, prepare?: Prepare): Promise<void>
  page: Page
  panel: ServedPanel
  background: Background
}

const everyState = async ({ look, read, page, panel, background }: Scene) => {
  const { db } = background
  // Before anybody has signed in.
  await look('/admin/login')
  await look('/admin/login', sending('/admin/login', { name: 'admin', password: 'wrong' }))
  await look('/admin/login/link')
  await look('/admin/setup')
  await page.goto(`${panel.address}/admin/login`)
  await signInByForm(page, panel)

  // What comes in by forms and is wrong.
  const wrong = (path: string, action: string, ...all: Record<string, string>[]) =>
    all.reduce((before, fields, index) => before.then(() => (index === 0 ? look : read)(path, sending(action, fields))), Promise.resolve())
  const add = { action: 'walk/strict', exec_type: 'ONCE', when: 'now' }
  await wrong(
    '/admin/core/bgtask/new?action=walk/strict',
    '/admin/core/bgtask',
    { ...add, 'params.count': 'many' },
    { ...add, 'params.count': '7', 'params.code': 'x', 'params.list': '[1' },
    { ...add, 'params.count': '700', 'params.code': 'xyz', 'params.list': '[1, "two"]' },
    { ...add, 'params.count': '7', 'params.code': 'ab', priority: '9999' },
    { ...add, 'params.count': '7', 'params.code': 'ab', when: 'at', at: 'tomorrow' },
    { ...add, 'params.count': '7', 'params.code': 'ab', type: 'x'.repeat(70) },
    { ...add, action: 'walk/none' },
    { ...add, action: 'walk/broken' },
    { ...add, action: 'walk/twice' },
  )
  const schedule = { action: 'walk/strict', name: 'a-name', when: 'cron', cron: '30 2 * * *', time_zone: 'UTC' }
  await wrong(
    '/admin/config/schedules/new?action=walk/strict',
    '/admin/config/schedules',
    { ...schedule, cron: '61 2 * * *' },
    { ...schedule, cron: '2 * *' },
    { ...schedule, cron: '@sometimes' },
    { ...schedule, cron: '0 0 30 2 *' },
    { ...schedule, time_zone: 'Europe/Berln' },
    { ...schedule, when: 'every', every: '0', every_unit: 'seconds' },
    { ...schedule, name: '17' },
    schedule,
  )
  await wrong(
    '/admin/core/commands/deploy',
    '/admin/core/commands/deploy',
    { step: 'show', 'args.environment': 'staging', 'args.revision': '-rf', 'args.more': 'x' },
    { step: 'show', 'args.environment': 'stagin', 'args.revision': 'xyz' },
    { step: 'show' },
  )
  await wrong(
    '/admin/config/tokens/new',
    '/admin/config/tokens',
    { name: 'x', life: '90' },
    { name: 'x', scope: 'task:add:*', life: '90' },
    { name: 'x', scope: 'task:read', more: 'task:ad', life: '90' },
    { name: 'x', scope: 'task:read', life: '17' },
  )
  await wrong(
    '/admin/config/users/new',
    '/admin/config/users',
    { name: 'A B', role: 'viewer', password, repeated: password },
    { name: 'eva', role: 'viewer', password: 'short', repeated: 'short' },
    { name: 'eva', role: 'viewer', password, repeated: `${password} ` },
    { name: 'admin', role: 'viewer', password, repeated: password },
  )
  await wrong('/admin/account', '/admin/account', { current: 'wrong', password, repeated: password })

  // While there is nothing, or nothing that works.
  await look('/admin')
  await look('/admin/core/bgtask')
  await look('/admin/core/bgtask/failed')
  await look('/admin/core/bgtask/recovery?do=retry')
  await look('/admin/config/schedules')
  await look('/admin/config/tokens')
  await look('/admin/config/system/cron')
  await look('/admin/core/commands')
  await look('/admin/core/commands/shouting')
  await look('/admin/reports/status')
  await look('/admin/reports/status/cron-key')
  await look('/admin/config/notifications')

  const loop = await background.addTask('demo/heartbeat', { intervalMs: 500 }, { execType: 'FOREVER', type: 'a-type', creator: 'somebody' })
  const done = await background.addTask('demo/greet', { name: '<b>you</b>' })
  const failed = await background.addTask('demo/fail', { times: 3 }, { maxAttempts: 1 })
  const gone = await background.addTask('walk/leaves', {}, { unique: 'one-only' })
  const backing = await background.addTask('demo/fail', { times: 3 }, 'FOREVER')
  const later = await background.addTask('demo/greet', {}, { delayMs: 3_600_000, unique: 'teacher:17', creator: 'kim' })
  const cancelled = await background.addTask('demo/greet', {}, { delayMs: 3_600_000 })
  await background.cancelTask(cancelled.id, { by: 'kim' })
  const file = await background.addTask('demo/csv-export', { rows: 10 })
  const command = await background.sendCommand('deploy', { environment: 'staging', revision: 'a1b2c3d' }, { creator: 'kim' })
  await background.addSchedule('nightly', { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'demo/greet' })
  await background.addSchedule('often', { everyMs: 900_000, action: 'demo/greet', overlap: 'skip', missed: 'skip' })
  const letters = queueOf('walk_letters', async () => background)
  for (const to of ['kim', 'nobody']) await letters.createItem({ to })
  const { task: cron } = await askCron(background, { creator: 'kim' })
  const stateOf = async (id: number) =>
    (await db.kysely.selectFrom('bg_task').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state
  await until(
    'a task of each kind has ended, and a loop backs off',
    async () =>
      (await Promise.all([done, failed, gone, cron, file, command].map(({ id }) => stateOf(id)))).every(state =>
        /succeeded|failed/.test(state),
      ) && (await stateOf(backing.id)) === 'backing-off',
    60_000,
  )

  await look('/admin')
  await look('/admin/core/bgtask')
  for (const query of ['state=failed', 'unique=teacher:17', 'type=a-type&exec_type=FOREVER', 'text=nothing-is-like-this', 'state=bogus'])
    await look(`/admin/core/bgtask?${query}`)
  const minute = { iterations: 100, errors: 3, durations: { 80: 90, 120: 10 }, cpuMs: 900, memoryBytes: 61e6, outputBytes: 8_000 }
  const samples = [9, 8, 7, 3, 2, 1].map(ago => ({ ...emptySample(loop.id, spanAt(Date.now(), 60_000) - ago * 60_000, 60_000), ...minute }))
  await insertSamples(db, [...samples, ...samples.map(sample => ({ ...sample, taskId: backing.id }))])
  await look(`/admin/core/bgtask/${loop.id}?span=7d`)
  for (const { id } of [loop, done, failed, gone, backing, cancelled, file, command, cron]) await look(`/admin/core/bgtask/${id}`)
  await look(`/admin/core/bgtask/${later.id}`, page => page.click('details.ask summary'))
  for (const { id } of [done, failed, gone, backing, command]) await look(`/admin/core/bgtask/${id}/runs/1`)
  await look(`/admin/core/bgtask/${loop.id}/runs/99`)
  await look(`/admin/core/bgtask/${loop.id}/lines`)
  for (const query of ['q=beat', 'level=warn', 'last=error', 'q=nothing-is-like-this', 'at=0'])
    await look(`/admin/core/bgtask/${loop.id}/lines?${query}`)
  await look(`/admin/core/bgtask/${failed.id}/lines?last=error`)
  await look(`/admin/core/bgtask/${later.id}/move`)
  await look(
    `/admin/core/bgtask/${later.id}/move`,
    sending(`/admin/core/bgtask/${later.id}/move`, { when: 'at', at: '2027-01-01T00:00', zone: 'Mars' }),
  )
  await everyEdit({ look, read, background }, loop.id, later.id)
  await look(`/admin/core/bgtask/${done.id}`, sending(`/admin/core/bgtask/${done.id}/cancellation`, {}))
  await look(`/admin/core/bgtask/${done.id}`, sending(`/admin/core/bgtask/${done.id}/start`, {}))
  await look(`/admin/core/bgtask/${later.id}`, sending(`/admin/core/bgtask/${later.id}/retry`, {}))
  await look(`/admin/core/bgtask/${loop.id}`, sending(`/admin/core/bgtask/${loop.id}/deletion`, {}))
  await look('/admin/core/bgtask/new')
  await look('/admin/core/bgtask/new?action=demo/disk-watch', page => page.click('.more summary'))
  await look(`/admin/core/bgtask/new?like=${later.id}`)
  const unnamed = await background.addTask('walk/strict', { count: 1, code: 'xyz', more: 'two' }, { delayMs: 3_600_000 })
  await look(`/admin/core/bgtask/new?like=${unnamed.id}`, page => page.click('.more summary'))
  await look('/admin/core/bgtask/new?action=core/recover')
  await look('/admin/core/bgtask/failed')
  await look('/admin/core/bgtask/recovery?do=discard&action=demo/fail')
  await look('/admin/core/bgtask?exec_type=FOREVER')
  for (const act of ['stop', 'cancellation', 'deletion', 'run']) await look(`/admin/core/bgtask/bulk?do=${act}`)
  await look('/admin/core/bgtask/bulk?do=start&exec_type=FOREVER&type=none')
  const all = await background.addTask('core/bulk')
  const asked = {
    act: 'stop',
    filter: { execType: 'FOREVER', action: 'demo/heartbeat', text: 'demo' },
    upTo: 1,
    expected: 3,
    isAll: true,
  } as const
  await insertBulk(db.kysely, { id: all.id, ...asked, askedAt: Date.now(), askedBy: 'kim', undoOf: null })
  await look(`/admin/core/bgtask/bulk/${all.id}`)
  // The supervisor may have been there before: it does what is asked for.
  const stopped = { bulk_id: all.id, task_id: loop.id }
  await db.kysely
    .insertInto('bg_bulk_item')
    .values(stopped)
    .onConflict(conflict => conflict.doNothing())
    .execute()
  await look(`/admin/core/bgtask/${loop.id}`)
  await look('/admin/core/bgtask/debug')
  await look('/admin/core/bgtask/debug?id=999')
  await look(`/admin/core/bgtask/debug?id=${done.id}`, async page => {
    await page.click('main button')
    await page.locator('#debug-end').waitFor()
  })
  await look('/admin/core/bgtask/restart')
  await look('/admin/core/bgtask/restart?k=old')
  await look('/admin/core/commands')
  await look(
    '/admin/core/commands/deploy',
    sending('/admin/core/commands/deploy', { step: 'show', 'args.environment': 'staging', 'args.revision': 'a1b2c3d' }),
  )
  await look('/admin/config/schedules', page => page.click('details.ask summary'))
  await look('/admin/config/schedules/new')
  await look('/admin/config/schedules/1', page => page.click('.more summary'))
  await look('/admin/config/schedules/1', page => page.click('button[formaction$="/preview"]').then(() => page.waitForLoadState()))
  await look('/admin/config/system/cron')
  await look('/admin/config/system/cron/queues/walk_letters')
  await look('/admin/config/system/cron/queues/none')
  await look('/admin/reports/status/cron-key', sending('/admin/reports/status/cron-key', {}))
  await look('/admin/config/tokens/new', sending('/admin/config/tokens', { name: 'deploy', scope: 'schedule:write', life: '90' }))
  await look('/admin/config/tokens', page => page.click('details.ask summary'))
  await createUser(db, {
    name: 'somebody.with.a.very.long.name@a-company.example.com',
    password: `${password} of another`,
    role: 'operator',
  })
  await look('/admin/config/users')
  await look('/admin/config/users/1')
  await look('/admin/config/users/2', page => page.locator('details.ask summary').last().click())
  await look('/admin/config/users/99')
  await look('/admin/account', page => page.click('.menu summary'))
  await look('/admin/keys')
  await look('/admin/keys', page => page.click('main form button').then(() => page.waitForLoadState()))
  await look('/admin/account/second-factor')
  await look('/admin/account/second-factor', sending('/admin/account/second-factor', { code: '000000' }))
  await look('/admin/reports/status')
  await look('/admin/reports/audit')
  await look('/admin/reports/audit?act=login&from=2026-01-01')
  await look('/admin/reports/audit?user=nobody')
  await look('/admin/reports/audit?from=yesterday')
  await look('/admin/reports/audit/chain')
  await look('/demo/deploy')
  await look('/demo/deploy', sending('/demo/deploy', { environment: 'staging', revision: '-x' }))
  await look(`/demo/deploy?task=${command.id}`)
  for (const path of ['/demo', '/demo/network', '/admin/core/bgtask/99', '/nowhere', '/admin/core/commands/none']) await look(path)
  await look('/admin', sending('/admin/core/bgtask/1', {}))

  // The password again, and the second factor.
  const ageProof = () => ageProofs(panel)
  await look('/admin/config/users/new', async page => {
    ageProof()
    await page.reload()
  })
  const { id } = await createUser(db, { name: 'lee', password: `${password} of lee`, role: 'viewer' })
  await turnOnSecondFactor(db, id, { secret: 'JBSWY3DPEHPK3PXP', step: 1, codeHashes: ['x'] })
  await page.context().clearCookies()
  const half = async (page: Page) => {
    await page.goto(`${panel.address}/admin/login`)
    if (page.url().endsWith('/admin/login')) await sending('/admin/login', { name: 'lee', password: `${password} of lee` })(page)
  }
  await look('/admin/login/second-factor', half)
  await look('/admin/login/second-factor', async page => {
    await half(page)
    await sending('/admin/login/second-factor', { code: '000000' })(page)
  })
}

/** The forms for params and limits of a loop and of a once-task, what is said of what is wrong, and the list of what was changed. */
const everyEdit = async ({ look, read, background }: Pick<Scene, 'look' | 'read' | 'background'>, loop: number, once: number) => {
  const edit = (id: number) => `/admin/core/bgtask/${id}/edit`
  await look(edit(loop))
  await look(edit(once))
  await look(`${edit(loop)}?as=json`)
  await read(edit(loop), sending(edit(loop), { seen: '0.0', 'params.intervalMs': 'soon' }))
  await read(edit(loop), sending(edit(loop), { seen: '0.0', 'params.intervalMs': '500' }))
  const actor = { name: 'kim', ip: null, via: 'form' } as const
  for (const [intervalMs, graceMs] of [
    [700, 2_000],
    [500, 3_000],
  ] as const) {
    const task = await existing(background, loop)
    await editTask(background, task, { ...termsOf(task), params: { intervalMs }, graceMs }, { actor, effect: 'next' })
  }
  await look(edit(loop), sending(edit(loop), { seen: '0.0', 'params.intervalMs': '900', grace_s: '5' }))
  await look(`/admin/core/bgtask/${loop}`, async page => {
    await page.locator('#marks-list summary').click()
    await page.locator('#task-edits details.ask summary').first().click()
  })
}

/** Lets it be long ago that anybody gave the password. */
const ageProofs = ({ runtime }: ServedPanel) => {
  const database = new DatabaseSync(join(runtime, 'bgtask.sqlite'), { timeout: 10_000 })
  database.exec("UPDATE bg_session SET data = json_set(data, '$.provedAt', 0)")
  database.close()
}

/** Sends a form of the panel, whatever its fields would allow. */
const sending = (action: string, fields: Record<string, string>) => async (page: Page) => {
  const sent = { action, fields }
  await Promise.all([
    page.waitForNavigation(),
    page.evaluate(`(({ action, fields }) => {
      const form = Object.assign(document.createElement('form'), { method: 'post', action })
      const token = document.querySelector('[name=_csrf]')?.value ?? ''
      for (const [name, value] of Object.entries({ _csrf: token, ...fields })) form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
      document.body.append(form)
      form.submit()
    })(${JSON.stringify(sent)})`),
  ])
}

/** Words that are the same in every language, or nobody's but those of programs and people. */
const excepted: RegExp[] = [
  // Hashes, the secret of a second factor, what other programs say of themselves.
  /\b[0-9a-f]{8,}\b|\b(?:[A-Z2-7]{4} ){3,}[A-Z2-7]{1,4}\b|flock(?: from [\w-]+)?/,
  // What the examples in app/actions/demo say of themselves, and what they say when they have ended.
  /Greets someone[^.]*\.|A loop that [^.]*\.|Fails at its first tries[^.]*\.|Writes a (?:large )?(?:CSV )?file[^.]*\.|Removes exports of [^.]*\./,
  /Switches the network of [^.]*\.|Counts the view of [^.]*\.|A folder on the disk to watch|Warn below so many percent free|Milliseconds between two l(?:ooks|ines)/,
  /Hello, {2}?b ?you|Hello, [^.]*\.|[Tt]ry \d+(?: of \d+)? failed, as [^\u4e00-\u9fff<.]*shall\.?|letter without an address|rates\.example\.com answered/,
  // Code, by its looks: what is in quotes, paths, names with signs in them, names of keys and variables.
  /"[^"]*"/,
  /Expected [^\u4e00-\u9fff，。；）]* in JSON at position [^\u4e00-\u9fff，。；）]*\)?/,
  /SyntaxError: [^\u4e00-\u9fff，。；）]*/,
  /export (?:async function|default|const) [^\u4e00-\u9fff，。；]*/,
  /node index\.js [^\u4e00-\u9fff，。；]*|user passwd \w+/,
  /(?:\/?[\w{}*@-]+[/._:@])+[\w{}*-]+|\b[\w]+(?:-[\w]+)+\b/,
  /\b[a-z]+[A-Z]\w*\b|\b[A-Z][A-Z0-9_]{2,}\b/,
  /\b(?:description|executable|arguments|parameters|cwd|env|minimum|pattern|list|execute|ctx|shell|core|args|priority|type|action|folder|role|processes|cgroups?|setpriv|root|start)\b/,
  // Names of things.
  /\b(?:bgtask|[Cc]ron|crontab|English|Linux|Chrome|Node|TypeError|Authorization|Prometheus|metrics|webhook|echo|uid|kB|SQLite|sqlite|http|Lab)\b/,
  /\b(?:hourly|daily|midnight|weekly|monthly|yearly|annually|shop backend)\b/,
  /\b(?:Europe|Asia|America|Africa|Atlantic|Pacific|Australia|Berlin|Shanghai|Dublin|Jersey|Berln|Mars)\b/,
  // What this test has named, and given where it is wrong.
  /\b(?:admin|kim|somebody|deploy|often|nightly|count|code|name|Name|environment|revision|staging|production|walk|command|recovery|demo|nowhere)\b/,
  /\b(?:many|tomorrow|yesterday|two|x{70}|strict|broken|twice|none|nothing|bogus|more|stagin|xyz|leaves|teacher|retry|discard|filter)\b/,
  /\b(?:late|soon|loose|missing|relative|secret|password|word|shouting|wrong|colour|bad|empty|modules|actions|exports|alone)\b/,
]

/** A panel with something wrong of each kind: actions, modules, commands. */
const brokenPanel = async (t: TestContext) => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-walk-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const write = (name: string, text: string, mode = 0o644) => {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text, { mode })
  }
  const params = `{ type: 'object', required: ['count', 'code'], properties: { count: { type: 'integer', minimum: 1, maximum: 99 }, code: { type: 'string', minLength: 2, pattern: '^[a-z]+$' }, list: { type: 'array', items: { type: 'number' } } } }`
  write('actions/walk/strict.ts', `export const params = ${params}\nexport const execute = () => 'done'\n`)
  write('actions/walk/leaves.ts', `export const execute = () => process.exit(3)\n`)
  write('actions/walk/broken.ts', `export const execute = () => {\n`)
  write('actions/walk/nothing.ts', `export const none = 1\n`)
  write('actions/walk.ts', `export const twice = () => {}\n`)
  write('actions/walk/twice.ts', `export const execute = () => {}\n`)
  write('actions/alone.ts', `export const execute = () => {}\n`)
  write('actions/walk/Wrong Name.ts', `export const execute = () => {}\n`)
  write('actions/core/mine.ts', `export const execute = () => {}\n`)
  write(
    'modules/walk.ts',
    `export const cron = () => { throw new Error('rates.example.com answered 503') }
export const cronQueueInfo = () => ({ walk_letters: { timeS: 5, maxFailures: 1, worker: letter => { if (letter.to === 'nobody') throw new Error('letter without an address') } } })\n`,
  )
  write('modules/empty.ts', `export const nothing = 1\n`)
  write('modules/bad.ts', `export const cron = 'daily'\n`)
  write('modules/Wrong.ts', `export const cron = () => {}\n`)
  const deploy = {
    executable: join(root, 'scripts', 'demo', 'deploy.sh'),
    arguments: ['--environment={environment}', '{revision}'],
    parameters: { environment: { enum: ['staging', 'production'] }, revision: { type: 'string', pattern: '^[0-9a-f]{7,40}$' } },
  }
  const commands = {
    deploy,
    shouting: { executable: '/bin/true', arguments: ['{word}'] },
    relative: { executable: 'backup.sh' },
    missing: { executable: '/nowhere/backup.sh' },
    secret: { executable: '/bin/true', arguments: ['{password}'], parameters: { password: { type: 'string', pattern: '^a$' } } },
    loose: { executable: '/bin/true', arguments: ['{a}'], parameters: { a: { type: 'string', pattern: 'a' } } },
    list: { executable: '/bin/true' },
    wrong: { executable: '/bin/true', timeoutMs: 'soon', colour: 1 },
    late: { executable: '/bin/true', timeoutMs: 'soon' },
  }
  write('commands.json', JSON.stringify(commands), 0o600)
  const env = {
    BGTASK_ADMIN_PASSWORD: password,
    BGTASK_AUTOSTART: 'on',
    BGTASK_ACTIONS: [join(folder, 'actions'), join(root, 'app', 'actions'), join(folder, 'nowhere')].join(delimiter),
    BGTASK_MODULES: join(folder, 'modules'),
    BGTASK_COMMANDS: join(folder, 'commands.json'),
  }
  const panel = await servePanel(t, env)
  const background = await openBackground(await loadConfig({ ...env, BGTASK_RUNTIME: panel.runtime }), { migrate: false })
  t.after(() => background.close())
  return { panel, background }
}
