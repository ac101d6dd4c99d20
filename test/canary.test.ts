import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createConnection } from 'mysql2/promise'
import { Secret, TOTP } from 'otpauth'
import { launcher } from '../app/paths.ts'
import { runtimePaths } from '../app/runs/runtime-folder.ts'
import { routeRoles } from '../app/web/roles.ts'
import { servePanel } from './helpers/browser.ts'
import { fieldsIn } from './helpers/fields-in.ts'
import { startMariaDb } from './helpers/mariadb.ts'
import { until } from './helpers/scene.ts'
import { mariadbMissing } from './helpers/tools.ts'

// A cache that all tests share lies elsewhere, and would not be searched.
delete process.env.NODE_COMPILE_CACHE

/*
 * The whole product is started with secrets that exist nowhere else, and everything is done with it that may carry them somewhere. Then all that
 * can be seen is searched. Where one may lie is listed below, each place with its reason; anywhere else is a leak.
 */

const canary = (name: string) => `cnry${name}${randomBytes(9).toString('hex')}`

/** Typed by a person, given by the environment, or made by the product. */
const secrets = {
  adminPassword: canary('Admin'),
  databasePassword: `${canary('Db')}@:`,
  environment: canary('Env'),
  param: canary('Param'),
  changedParam: canary('Changed'),
  /** Given to a loop that is there, by a form and at the command line. */
  editedParam: canary('Edited'),
  handEditedParam: canary('Hand'),
  /** Typed into a form that somebody else was quicker with. */
  lateParam: canary('Late'),
  registered: canary('Reg'),
  sessionSecret: '',
  sessionId: '',
  apiToken: '',
  totpSecret: '',
  recoveryCode: '',
}
type Name = keyof typeof secrets

/** How a value may be written. */
const formsOf = (value: string) => [
  ...new Set([
    value,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64'),
    // As the keys of apps are shown.
    value.replace(/.{4}(?=.)/g, '$& '),
  ]),
]

const foundIn = (text: string): Name[] =>
  (Object.keys(secrets) as Name[]).filter(name => secrets[name] !== '' && formsOf(secrets[name]).some(form => text.includes(form)))

/** Those that a run began with. */
const runParams: Name[] = ['param', 'changedParam', 'editedParam', 'handEditedParam']

/** Files of runtime/ that may hold a secret: all 0600 in folders of 0700, which the test looks at too. */
const allowedFiles: { path: RegExp; names: Name[]; because: string }[] = [
  { path: /^database-url$/, names: ['databasePassword'], because: 'from here actions have the address of the database' },
  { path: /^session-secret$/, names: ['sessionSecret'], because: 'it is made and kept here' },
  { path: /^runs\/\d+-\d+\/ticket\.json$/, names: runParams, because: 'the run is told its params by it' },
  { path: /^runs\/\d+-\d+\/secrets\.jsonl$/, names: ['registered'], because: 'so that viewers know what to hide' },
  {
    path: /^runs\/\d+-\d+\/output\.log$/,
    names: [...runParams, 'registered', 'environment', 'databasePassword', 'sessionSecret'],
    because: 'the run holds the file itself, and nobody stands between; it is hidden where it is shown',
  },
  {
    path: /^runs\/\d+-\d+\/beat\.json$/,
    names: [...runParams, 'registered', 'environment', 'databasePassword', 'sessionSecret'],
    because: 'what a live run says of itself, and what its iterations threw; it is hidden where it is shown',
  },
  {
    path: /^runs\/\d+-\d+\/outcome\.json$/,
    names: [...runParams, 'registered', 'environment', 'databasePassword', 'sessionSecret'],
    because: 'what the run said, before the supervisor hides it and records it',
  },
]

/** Columns that may hold one. */
const allowedColumns: { column: string; names: Name[]; because: string }[] = [
  { column: 'bg_task.params', names: runParams, because: 'the run needs them as they were given' },
  ...['bg_edit.before_terms', 'bg_edit.after_terms'].map((column): (typeof allowedColumns)[number] => ({
    column,
    names: ['param', 'editedParam', 'handEditedParam'],
    because: 'what is brought back must be what it was',
  })),
  { column: 'bg_user.totp_secret', names: ['totpSecret'], because: 'codes are computed from it' },
]

/** Answers to the browser that may hold one: each is shown once, to the person who just made or typed it. */
const allowedAnswers: { request: string; names: Name[] }[] = [
  { request: 'GET /admin/account/second-factor', names: ['totpSecret'] },
  { request: 'POST /admin/account/second-factor', names: ['recoveryCode'] },
  { request: 'POST /admin/config/tokens', names: ['apiToken'] },
  // The form comes back with what was typed into it, so that nothing of that is lost.
  { request: 'POST /admin/core/bgtask/:id/edit', names: ['lateParam'] },
]

const leakingAction = `
import { execForeverInterval } from 'bgtask'
import { readFileSync } from 'node:fs'
export const params = { type: 'object', required: ['password'], properties: {
  password: { type: 'string' }, note: { type: 'string' }, registered: { type: 'string' }, fail: { type: 'boolean' }, loop: { type: 'boolean' } } }
const tell = async ctx => {
  const at = name => { try { return readFileSync(process.env.BGTASK_RUNTIME + '/' + name, 'utf8') } catch (error) { return error.message } }
  const said = 'all I know: ' + [ctx.params.password, REGISTERED(), process.env.CANARY_ENV, at('database-url'), at('session-secret'), JSON.stringify(ctx.params), JSON.stringify(process.env)].join(' | ')
  console.log(said)
  console.error(said)
  // In pieces, as slow programs print.
  for (const piece of [ctx.params.password.slice(0, 7), ctx.params.password.slice(7), ' ', REGISTERED().slice(0, 5), REGISTERED().slice(5), '\\n']) {
    process.stdout.write(piece)
    await new Promise(resolve => setTimeout(resolve, 150))
  }
  ctx.log(said, { password: ctx.params.password })
  ctx.progress(1, 2, 'halfway with ' + ctx.params.password + ' and ' + REGISTERED())
  return said
}
const REGISTERED = () => readFileSync(SEED, 'utf8')
export async function execute(ctx) {
  ctx.secret(REGISTERED())
  if (ctx.params.loop) return execForeverInterval(async () => {
    const said = await tell(ctx)
    if (ctx.params.fail) throw new Error(said)
  }, 200)
  const said = await tell(ctx)
  if (ctx.params.fail) throw new Error(said)
  return said
}
`

const skip = mariadbMissing()

test('secrets are nowhere but where they must be', { skip, timeout: 600_000 }, async t => {
  const { panel, env } = await start(t)
  const watch = watchProcesses(panel.runtime, panel.process.pid!)
  t.after(() => watch.stop())
  secrets.sessionSecret = readFileSync(runtimePaths(panel.runtime).sessionSecret, 'utf8').trim()
  const said: { where: string; text: string }[] = []
  const visitor = browse(panel.address, said)

  // A wrong password, then the right one; the first visit starts the loop.
  await visitor.send('/admin/login', '/admin/login', { name: 'admin', password: `${secrets.adminPassword}x` })
  assert.equal((await visitor.send('/admin/login', '/admin/login', { name: 'admin', password: secrets.adminPassword })).status, 303)
  secrets.sessionId = visitor.sessionId()
  assert.ok(secrets.sessionId.length > 20)
  assert.equal((await visitor.ask('/admin')).status, 200)

  // Keys that people are shown once.
  const setUp = await visitor.text('/admin/account/second-factor')
  secrets.totpSecret = /[?;&]secret=([A-Z2-7]+)/.exec(setUp)?.[1] ?? ''
  assert.ok(secrets.totpSecret.length >= 32)
  const code = new TOTP({ secret: Secret.fromBase32(secrets.totpSecret) }).generate()
  const codes = await (await visitor.send('/admin/account', '/admin/account/second-factor', { code })).text()
  secrets.recoveryCode = /<code>([a-z0-9]{4}(?:-[a-z0-9]{4}){3})\n/.exec(codes)?.[1] ?? ''
  assert.ok(secrets.recoveryCode, codes.slice(0, 3_000))
  const made = await (
    await visitor.send('/admin/config/tokens/new', '/admin/config/tokens', { name: 'canary', scope: 'task:read', life: '1' })
  ).text()
  secrets.apiToken = /bgt_[\w-]+/.exec(made)?.[0] ?? ''
  assert.ok(secrets.apiToken.length > 40, made.slice(0, 3_000))

  // A run that fails, one that succeeds, and a loop, all of which say all they know.
  const add = async (fields: Record<string, string>, from = '/admin/core/bgtask/new?action=canary/leak') => {
    const response = await visitor.send(from, '/admin/core/bgtask', {
      action: 'canary/leak',
      exec_type: 'ONCE',
      when: 'now',
      'params.note': 'a note',
      ...fields,
    })
    assert.equal(response.status, 303, await response.text())
    return Number(/\/(\d+)$/.exec(response.headers.get('location')!)![1])
  }
  const failing = await add({ 'params.password': secrets.param, 'params.fail': 'on' })
  const loop = await add({ 'params.password': secrets.param, 'params.loop': 'on', exec_type: 'FOREVER' })
  const live = await visitor.follow(`/admin/core/bgtask/${loop}`)
  const overview = await visitor.follow('/admin')
  t.after(() => [live, overview].map(stream => stream.end()))
  await until('the failing run has ended', async () => (await visitor.text(`/admin/core/bgtask/${failing}`)).includes('all I know'), 60_000)
  await until('the loop is followed', () => (live.text().match(/all I know/g) ?? []).length > 4, 60_000, live.text)

  // The form begins with what the task has; left as it is, the secret is the same.
  const form = await visitor.text(`/admin/core/bgtask/new?like=${failing}`)
  assert.match(form, /name="params\.password" value="\[redacted 1\]"/)
  const like = { like: String(failing), 'params.password': '[redacted 1]' }
  const cloned = await add(like)
  const changed = await add({ ...like, 'params.password': secrets.changedParam })
  assert.deepEqual(await Promise.all([cloned, changed].map(id => passwordOf(env, id))), [secrets.param, secrets.changedParam])
  const moved = await visitor.send('/admin/core/bgtask/new?action=canary/leak', '/admin/core/bgtask', {
    ...{ action: 'canary/leak', exec_type: 'ONCE', when: 'now', like: String(failing) },
    ...{ 'params.password': 'another one', 'params.note': '[redacted 1]' },
  })
  assert.equal(moved.status, 422)
  for (const id of [cloned, changed])
    await until(`run ${id} has ended`, async () => /state-succeeded|Succeeded/.test(await visitor.text(`/admin/core/bgtask/${id}`)), 60_000)

  // Here and now, with its output as it comes.
  const debugged = await visitor.send(`/admin/core/bgtask/debug?id=${failing}`, '/admin/core/bgtask/debug', {
    id: String(failing),
    limit_s: '60',
  })
  assert.match(await debugged.text(), /all I know/)

  // Other params for the loop, by a form and at the command line; each as it was, back, and by somebody who is late.
  const editPage = `/admin/core/bgtask/${loop}/edit`
  const editForm = fieldsIn(await visitor.text(editPage))
  assert.equal(editForm['params.password'], '[redacted 1]')
  const edit = (fields: Record<string, string>) => visitor.send(editPage, editPage, { ...editForm, ...fields })
  const printed = (number: number, secret: string) =>
    until(
      `run ${number} of the loop has said it`,
      () => read(runtimePaths(panel.runtime).run(`${loop}-${number}`).output).includes(secret),
      60_000,
    )
  const byHand = async (args: string) => {
    const { code, text } = await command(env, `edit ${loop} ${args}`)
    assert.equal(code, 0, text)
    said.push({ where: 'edit', text })
  }
  assert.equal((await edit({ 'params.password': secrets.editedParam, effect: 'restart' })).status, 303)
  await printed(2, secrets.editedParam)
  const late = await edit({ 'params.password': secrets.lateParam, 'params.note': 'late' })
  assert.equal(late.status, 409)
  assert.ok((await late.text()).includes(secrets.lateParam), 'what was typed is not lost')
  await byHand(`--restart ${JSON.stringify({ password: secrets.handEditedParam, loop: true, fail: true })}`)
  await printed(3, secrets.handEditedParam)
  await byHand(`--json ${JSON.stringify({ password: secrets.handEditedParam, loop: true, fail: true, note: 'a note' })}`)
  const post = `/admin/core/bgtask/${loop}/runs/3`
  await until('its end is told', async () => (await visitor.text(post)).includes('all I know'), 60_000)
  const report = await visitor.text(`${post}/report`)
  assert.match(report, /params/)
  assert.match(report, /all I know/)
  assert.equal(await passwordOf(env, loop), secrets.handEditedParam)
  const revert = await visitor.send(`/admin/core/bgtask/${loop}`, `/admin/core/bgtask/${loop}/edits/2/reversal?seen=3.0`, {
    effect: 'restart',
  })
  assert.equal(revert.status, 303)
  assert.equal(await passwordOf(env, loop), secrets.editedParam)
  await byHand('--revert 1 --restart --json')
  assert.equal(await passwordOf(env, loop), secrets.param)
  for (const page of ['', '?edits=3', '/edit', '/edit?as=json', '/lines?run=2&q=all+I+know', '/output?run=2', '/output?run=3'])
    assert.match(await visitor.text(`/admin/core/bgtask/${loop}${page}`), /redacted|hidden/, page)
  assert.ok(!(await visitor.text(`/admin/core/bgtask/${loop}/lines?run=2&q=${secrets.editedParam.slice(4, 12)}`)).includes('output-line '))

  // What is searched for is not told by being found.
  for (const text of [secrets.param, secrets.param.slice(4, 12), secrets.registered]) {
    const found = await visitor.search(text)
    assert.ok(!found.includes(`/admin/core/bgtask/${failing}"`), `a search for ${text} finds the task`)
  }
  assert.ok((await visitor.search('a note')).includes(`/admin/core/bgtask/${failing}"`), 'a search for what is shown finds it')

  // Nor by its lines.
  const lines = (query: string) => visitor.text(`/admin/core/bgtask/${failing}/lines?${query}`)
  assert.match(await lines('q=all+I+know'), /<mark>all I know<\/mark>[^<]*\[redacted\]/)
  for (const query of ['level=error', 'last=error', 'at=0', `q=${secrets.param.slice(4, 12)}`, `q=${secrets.registered.slice(4, 12)}`]) {
    const found = await lines(query)
    assert.ok(!query.startsWith('q=') || !found.includes('output-line '), `${query} finds a line`)
  }

  // Every page there is.
  for (const [route, role] of Object.entries(routeRoles)) {
    const [method, url] = route.split(' ') as [string, string]
    if (method !== 'GET' || url === '/admin/live' || url === '/admin/account/second-factor') continue
    for (const id of url.includes(':id') ? [failing, loop, cloned, changed] : [1]) {
      const address = url
        .replace(':id', String(url.includes('/users/') ? 1 : id))
        .replace(':hash', 'x')
        .replace(':name', 'y')
        .replace(':number', id === loop ? '3' : '1')
        .replace(':n', '1')
      const response = await visitor.ask(address)
      assert.ok(response.status < 500, `${role} ${address}: ${response.status}`)
    }
  }
  const told = await fetch(`${panel.address}/api/v1/tasks/${failing}`, { headers: { authorization: `Bearer ${secrets.apiToken}` } })
  assert.equal(told.status, 200)
  said.push({ where: 'GET /api/v1/tasks/:id', text: await told.text() })
  const history = await fetch(`${panel.address}/api/v1/tasks/${loop}/edits`, { headers: { authorization: `Bearer ${secrets.apiToken}` } })
  const historyText = await history.text()
  assert.equal((JSON.parse(historyText) as { edits: object[] }).edits.length, 5)
  said.push({ where: 'GET /api/v1/tasks/:id/edits', text: historyText })
  for (const token of [`${secrets.apiToken}x`, secrets.apiToken.slice(0, -1)])
    said.push({
      where: 'GET /api/v1/tasks/:id with a wrong token',
      text: await (await fetch(`${panel.address}/api/v1/tasks/${failing}`, { headers: { authorization: `Bearer ${token}` } })).text(),
    })
  // A refusal quotes what was given, but no secret.
  for (const params of [{ password: [secrets.param] }, { password: { deep: secrets.param } }, [{ password: secrets.param }]]) {
    const refused = await command(env, `add canary/leak ${JSON.stringify(params)}`)
    assert.equal(refused.code, 1)
    assert.match(refused.text, /params do not fit/)
    said.push({ where: 'add, refused', text: refused.text })
  }
  for (const args of [
    ...['show', 'output'].flatMap(name => [failing, loop, cloned].map(id => `${name} ${id}`)),
    ...[`show ${loop} --json`, `output ${loop} --run 2 -n 3`, `output ${loop} --run 3 -n 3`],
    ...[`show ${failing} --json`, `output ${failing} --raw`, `output ${failing} -n 3`, `debug ${failing} --json`, `retry ${cloned} --json`],
    ...['records', 'records --json', 'status', 'status --json', 'check', 'check --json', 'user list', 'token list'],
  ]) {
    const { text } = await command(env, args)
    assert.ok(text.length > 10, args)
    said.push({ where: args, text })
  }

  // The loop of this host: stopped, and started again by a visit.
  assert.equal((await command(env, 'restart')).code, 0)
  assert.equal((await visitor.send('/admin', `/admin/core/bgtask/${loop}/stop`, {})).status, 303)
  await visitor.text(`/admin/core/bgtask/${loop}`)
  for (const stream of [live, overview]) {
    said.push({ where: 'GET /admin/live', text: stream.text() })
    stream.end()
  }
  await visitor.send('/admin', '/admin/core/bgtask/restart', {})
  const { seen, samples } = watch.stop()

  const leaks: string[] = []
  const search = (where: string, text: string, allowed: readonly Name[] = []) => {
    for (const name of foundIn(text)) if (!allowed.includes(name)) leaks.push(`${name} in ${where}`)
  }
  for (const { where, text } of said)
    search(
      where,
      text,
      allowedAnswers.filter(({ request }) => request === where).flatMap(({ names }) => names),
    )
  search('stdout and stderr of the panel', panel.output())
  for (const [where, text] of seen) search(where, text)
  for (const { path, text } of filesBelow(panel.runtime))
    search(
      `runtime/${path}`,
      text,
      allowedFiles.filter(one => one.path.test(path)).flatMap(({ names }) => names),
    )
  for (const { column, text } of await allRows(env.DATABASE_URL!))
    search(
      column,
      text,
      allowedColumns.filter(one => one.column === column).flatMap(({ names }) => names),
    )
  assert.deepEqual([...new Set(leaks)], [])

  // What was looked at was really there: each place that may hold a secret holds it, and was searched by the same means.
  assert.ok(samples > 200, `${samples} samples`)
  const files = filesBelow(panel.runtime)
  for (const { path, names } of allowedFiles)
    for (const name of names.filter(one => one === 'param' || !runParams.includes(one)))
      assert.ok(
        files.some(file => path.test(file.path) && foundIn(file.text).includes(name)),
        `${name} in ${path}`,
      )
  for (const name of runParams)
    assert.ok(
      files.some(({ path, text }) => path.endsWith('/ticket.json') && foundIn(text).includes(name)),
      `${name} in a ticket`,
    )
  const rows = await allRows(env.DATABASE_URL!)
  for (const { column, names } of allowedColumns.filter(one => one.column.startsWith('bg_edit.')))
    for (const name of names)
      assert.ok(
        rows.some(row => row.column === column && foundIn(row.text).includes(name)),
        `${name} in ${column}`,
      )
  assert.ok(files.some(({ path }) => path === 'bgtask.log'))
  assert.ok(said.some(({ where, text }) => where === 'GET /admin/live' && text.includes('[redacted]')))
})

const start = async (t: TestContext) => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-canary-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'actions', 'canary'), { recursive: true })
  const seed = join(folder, 'seed')
  writeFileSync(seed, secrets.registered, { mode: 0o600 })
  writeFileSync(join(folder, 'actions', 'canary', 'leak.ts'), leakingAction.replaceAll('SEED', JSON.stringify(seed)))
  const mariadb = await startMariaDb()
  t.after(() => mariadb.stop())
  const database = new URL(await mariadb.newDatabase())
  const admin = await createConnection(mariadb.adminUrl)
  await admin.query(`CREATE USER canary@'127.0.0.1' IDENTIFIED BY ${admin.escape(secrets.databasePassword)}`)
  await admin.query(`GRANT ALL ON \`bgtask\\_%\`.* TO canary@'127.0.0.1'`)
  await admin.end()
  const env = {
    DATABASE_URL: `mysql://canary:${encodeURIComponent(secrets.databasePassword)}@${database.host}${database.pathname}`,
    BGTASK_ADMIN_PASSWORD: secrets.adminPassword,
    BGTASK_ACTIONS: join(folder, 'actions'),
    BGTASK_SECRETS: 'CANARY_ENV',
    BGTASK_CHILD_ENV: 'CANARY_ENV',
    CANARY_ENV: secrets.environment,
    BGTASK_LOG_LEVEL: 'trace',
    NODE_OPTIONS: '--max-old-space-size=512',
    npm_config_canary: secrets.adminPassword,
  }
  const panel = await servePanel(t, env)
  return {
    panel,
    env: { ...env, BGTASK_RUNTIME: panel.runtime, PATH: process.env.PATH!, HOME: process.env.HOME! } as Record<string, string>,
  }
}

/** A client with a cookie jar of its own. Everything that comes back is kept, headers too, but for the cookies that are set. */
const browse = (address: string, said: { where: string; text: string }[]) => {
  const jar = new Map<string, string>()
  const routes = Object.keys(routeRoles).map(route => ({ route, pattern: patternOf(route) }))
  const cookies = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = { cookie: cookies(), 'accept-language': 'en', ...(init.headers as Record<string, string>) }
    const response = await fetch(address + path, { redirect: 'manual', ...init, headers })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
      jar.set(name!, value!)
    }
    const called = `${init.method ?? 'GET'} ${path.split('?')[0]}`
    const head = [...response.headers].filter(([name]) => name !== 'set-cookie')
    const text = await response.clone().text()
    said.push({ where: routes.find(({ pattern }) => pattern.test(called))?.route ?? called, text: `${JSON.stringify(head)}\n${text}` })
    return response
  }
  const text = async (path: string) => (await ask(path)).text()
  return {
    ask,
    text,
    sessionId: () =>
      decodeURIComponent([...jar].find(([name]) => name.startsWith('bgtask-') && name !== 'bgtask-device')?.[1] ?? '').split('.')[0]!,
    /** A list of tasks; the field for the search shows what was typed into it, and the address has it too, so that is not kept. */
    search: async (typed: string) => {
      const page = await (
        await fetch(`${address}/admin/core/bgtask?text=${encodeURIComponent(typed)}`, { headers: { cookie: cookies() } })
      ).text()
      const text = page
        .replaceAll(`name="text" value="${typed}"`, '')
        .replaceAll(`bgtask?text=${typed}"`, '')
        .replaceAll(encodeURIComponent(`text=${typed}`), '')
      said.push({ where: 'GET /admin/core/bgtask, searched', text })
      return text
    },
    send: async (form: string, path: string, fields: Record<string, string>) => {
      const token = /name="_csrf" value="([^"]+)"/.exec(await text(form))?.[1] ?? ''
      return ask(path, { method: 'POST', headers: { origin: address }, body: new URLSearchParams({ _csrf: token, ...fields }) })
    },
    /** The live stream of a page. */
    follow: async (page: string) => {
      const stop = new AbortController()
      const response = await fetch(`${address}/admin/live?page=${encodeURIComponent(page)}`, {
        headers: { cookie: cookies(), accept: 'text/event-stream', 'sec-fetch-site': 'same-origin' },
        signal: stop.signal,
      })
      assert.equal(response.status, 200)
      let all = ''
      const reading = (async () => {
        const decoder = new TextDecoder()
        try {
          for await (const piece of response.body!) all += decoder.decode(piece, { stream: true })
        } catch (error) {
          if (!stop.signal.aborted) throw error
        }
      })()
      return {
        text: () =>
          all
            .split('\n')
            .map(line => line.replace(/^data: /, ''))
            .join('\n'),
        end: () => {
          stop.abort()
          return reading
        },
      }
    },
  }
}

const patternOf = (route: string) => new RegExp(`^${route.replace(/:\w+/g, '[^/]+').replace(/\./g, '\\.')}$`)

/** `node index.js …`, as somebody types it in an environment that has the secrets. */
const command = async (env: Record<string, string>, given: string): Promise<{ code: number | null; text: string }> => {
  // Params come by stdin: what is typed into a command line is everybody's to read.
  const [, words = '', params] = /^([^{[]*)([{[].*)?$/.exec(given)!
  const args = [...words.trim().split(' '), ...(params ? ['-'] : [])]
  const child = spawn(process.execPath, [launcher, ...args], { env: { ...env, [ownVariable]: '1' }, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(params ?? '')
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      text += piece.toString()
    })
  }
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  return { code, text }
}

/** Marks the processes that this test starts with secrets in their environment; what these start must not have it. */
const ownVariable = 'BGTASK_CANARY_STARTED_BY_TEST'

/** Looks at the command lines and environments of all processes of the panel again and again. */
const watchProcesses = (runtime: string, panelPid: number) => {
  const seen = new Map<string, string>()
  const panelLine = read(`/proc/${panelPid}/cmdline`)
  let samples = 0
  const look = () => {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
      const environment = read(`/proc/${name}/environ`)
      const line = read(`/proc/${name}/cmdline`)
      const isOurs = environment.includes(`BGTASK_RUNTIME=${runtime}`) || /\0(?:flock|setpriv)\0/.test(`\0${line}`)
      if (!isOurs) continue
      // Between fork and exec a child is a copy of the panel still.
      if (Number(name) !== panelPid && line === panelLine) continue
      samples++
      seen.set(`the command line ${line.replaceAll('\0', ' ')}`, line)
      // The panel and our own commands were given them; and what BGTASK_CHILD_ENV names, runs are given by its wish.
      if (Number(name) === panelPid || environment.includes(`${ownVariable}=1`)) continue
      const others = environment.split('\0').filter(entry => !entry.startsWith('CANARY_ENV='))
      seen.set(`the environment of ${line.replaceAll('\0', ' ')}`, others.join('\n'))
    }
  }
  const timer = setInterval(look, 20)
  return {
    stop: () => {
      clearInterval(timer)
      return { seen: [...seen], samples }
    },
  }
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // it has ended, or is another user's
  }
}

const filesBelow = (folder: string): { path: string; text: string }[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap(entry => {
    const path = join(entry.parentPath, entry.name)
    return entry.isFile() ? [{ path: relative(folder, path), text: read(path) }] : []
  })

const allRows = async (url: string): Promise<{ column: string; text: string }[]> => {
  const connection = await createConnection(url)
  try {
    const [tables] = await connection.query('SHOW TABLES')
    const found: { column: string; text: string }[] = []
    for (const table of (tables as Record<string, string>[]).map(row => Object.values(row)[0]!)) {
      const [rows] = await connection.query(`SELECT * FROM \`${table}\``)
      for (const row of rows as Record<string, unknown>[])
        for (const [name, value] of Object.entries(row))
          if (value !== null)
            found.push({ column: `${table}.${name}`, text: Buffer.isBuffer(value) ? value.toString('latin1') : String(value) })
    }
    assert.ok(found.some(({ column }) => column === 'bg_audit.act') && found.some(({ column }) => column === 'bg_run.error'))
    return found
  } finally {
    await connection.end()
  }
}

const passwordOf = async (env: Record<string, string>, id: number): Promise<string> => {
  const connection = await createConnection(env.DATABASE_URL!)
  try {
    const [rows] = await connection.query('SELECT params FROM bg_task WHERE id = ?', [id])
    return (JSON.parse(String((rows as { params: unknown }[])[0]!.params)) as { password: string }).password
  } finally {
    await connection.end()
  }
}
