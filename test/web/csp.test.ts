import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { editTask } from '../../app/api/edit-task.ts'
import { hold } from '../../app/runs/flags.ts'
import { makeTicket } from '../../app/runs/make-ticket.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { writeTicket } from '../../app/runs/ticket.ts'
import { findTask } from '../../app/store/find-task.ts'
import { termsOf } from '../../app/task/edit.ts'
import { runName } from '../../app/task/run.ts'
import { escapeHtml } from '../../app/web/render.ts'
import { type Answer, freshAddress, type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'

/* What every answer forbids, what no page may hold, and what no error tells: over all routes, and over the views as they lie in the repository. */

const root = join(import.meta.dirname, '..', '..')
const policy =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';form-action 'self';base-uri 'none';frame-ancestors 'none'"
/** For answers that are no page, or come before anything of ours runs. */
const barePolicy = /^default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/

let panel: ListeningPanel
let admin: SignedIn
let taskId: number

before(async () => {
  // Faults are provoked here, and what the log says of them is not asked for.
  process.env.BGTASK_LOG_LEVEL = 'silent'
  panel = await listenPanel()
  hold(panel.runtime, 'the test', Date.now())
  admin = await panel.signIn('admin', { from: freshAddress() })
  // Everything that a page shows of it is markup.
  const [task] = await panel.background.storeTasks(
    [
      {
        action: 'test/ok',
        params: { html: hostile, [hostile]: [hostile] },
        options: { type: hostile.slice(0, 60), creator: hostile.slice(0, 60), unique: hostile },
      },
    ],
    { by: 'the test' },
  )
  taskId = task!.task.id
  // It failed with an error that is markup: the sentence about a run's end is made of it.
  panel.sql("UPDATE bg_task SET content = ?, state = 'failed', number = 1, attempt = 1 WHERE id = ?", hostile, taskId)
  panel.sql(
    "INSERT INTO bg_run (task_id, number, host, epoch, pid, started_at, ended_at, outcome, error) VALUES (?, 1, 'here', 1, 1, 1, 2, 'failed', ?)",
    taskId,
    hostile,
  )
  await makeAllElseHostile()
})

/** What newer pages show: a run's output and its ticket, a loop that was changed and fails, a schedule, acts on many, a queue, an incident. */
const makeAllElseHostile = async () => {
  const { background, sql, runtime } = panel
  const paths = runtimePaths(runtime).run(runName(taskId, 1))
  mkdirSync(paths.folder, { recursive: true })
  const about = { number: 1, host: hostile, epoch: 'e', marked: false }
  const action = { file: join(runtime, 'x.ts'), exportName: 'execute', stallMs: null, stallRestart: false }
  writeTicket(paths.folder, makeTicket((await findTask(background.db, taskId))!, action, about))
  writeFileSync(paths.output, `error: ${hostile}\n\u001b[31m${hostile}\u001b]8;;javascript:alert(1)\u0007x\n`)
  writeFileSync(paths.outcome, JSON.stringify({ kind: 'failed', error: hostile }))

  const named = { type: hostile.slice(0, 60), creator: hostile.slice(0, 60) }
  const loop = await background.addTask('test/ok', { html: hostile }, { execType: 'FOREVER', ...named })
  const actor = { name: hostile.slice(0, 60), ip: null, via: 'form' as const }
  await editTask(background, loop, { ...termsOf(loop), params: { html: `${hostile}!`, [hostile]: hostile } }, { actor, effect: 'next' })
  sql(
    "INSERT INTO bg_loop_error (task_id, error_key, sample, printed, n, first_at, last_at, last_number, last_n) VALUES (?, 'k', ?, 1, 1, 1, 1, 0, 0)",
    ...[loop.id, hostile],
  )
  sql(
    "INSERT INTO bg_incident (kind, task_id, number, action, host, opened_at, closed_at, last_at, last_task, facts, last_lines) VALUES ('failed', ?, 1, ?, ?, 1, 2, 2, ?, ?, ?)",
    ...[taskId, hostile.slice(0, 60), hostile.slice(0, 60), taskId, JSON.stringify({ hostname: hostile }), hostile],
  )
  await background.addSchedule('hostile', { everyMs: 3_600_000, action: 'test/ok', params: { html: hostile, [hostile]: 1 }, ...named })
  const [schedule] = sql('SELECT MAX(id) AS id FROM bg_schedule')
  const bulk = await background.addTask('core/bulk')
  sql(
    "INSERT INTO bg_bulk (task_id, act, filter, up_to, expected, is_all, asked_at, asked_by) VALUES (?, 'cancellation', ?, 1, 1, 1, 1, ?)",
    ...[bulk.id, JSON.stringify({ type: hostile, text: hostile }), hostile.slice(0, 60)],
  )
  sql(
    "INSERT INTO bg_queue_item (queue, data, created_at, free_at, failures, error, aside_at) VALUES ('bad', ?, 1, NULL, 10, ?, 2)",
    ...[JSON.stringify({ html: hostile, [hostile]: hostile }), hostile],
  )
  Object.assign(places, {
    '/admin/core/bgtask/:id/edit': `/admin/core/bgtask/${loop.id}/edit`,
    '/admin/core/bgtask/:id/output': `/admin/core/bgtask/${taskId}/output`,
    '/admin/core/bgtask/:id/runs/:number': `/admin/core/bgtask/${taskId}/runs/1`,
    '/admin/core/bgtask/:id/runs/:number/report': `/admin/core/bgtask/${taskId}/runs/1/report`,
    '/admin/core/bgtask/bulk': '/admin/core/bgtask/bulk?do=stop',
    '/admin/core/bgtask/bulk/:id': `/admin/core/bgtask/bulk/${bulk.id}`,
    '/admin/core/bgtask/recovery': '/admin/core/bgtask/recovery?do=retry',
    '/admin/core/commands/:name': `/admin/core/commands/deploy`,
    '/admin/config/schedules/:id': `/admin/config/schedules/${schedule!.id}`,
    '/admin/config/system/cron/queues/:name': '/admin/config/system/cron/queues/bad',
  })
  alsoThere.push(
    ...[`/admin/core/bgtask/${loop.id}`, `/admin/core/bgtask/${loop.id}?span=week`, `/admin/core/bgtask/new?like=${loop.id}`],
    ...[`/admin/core/bgtask/${taskId}/lines?run=1&q=script`, `/admin/core/bgtask/${taskId}/lines?run=1&q=${encodeURIComponent(hostile)}`],
  )
}
/** Addresses of routes that need one of their own. */
const places: Record<string, string> = {}
const alsoThere: string[] = []
/** They lead elsewhere, or take a key, or are no page. */
const noPages = [
  '/',
  '/cron',
  '/cron/*',
  '/admin/assets/x/y',
  '/admin/login/second-factor',
  '/admin/setup',
  '/admin/core/bgtask/1/artifacts/x/x',
]
after(() => panel.close())

const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(1)>' onmouseover='alert(1)`

const values: Record<string, () => string> = { id: () => String(taskId), hash: () => 'x', name: () => 'y', token: () => 'z' }
const addresses = () =>
  panel.routes
    .filter(({ method, url }) => method === 'GET' && url !== '/admin/live' && !url.startsWith('/api/'))
    .map(({ url }) => places[url] ?? url.replace(/:(\w+)/g, (_, name: string) => values[name]?.() ?? 'x'))
    .concat(alsoThere)

test('every page, with and without a session, has the policy, is not stored, and holds nothing that the policy would refuse', async () => {
  const pages = addresses()
  assert.ok(pages.length > 20, pages.join(' '))
  const seen = new Set<string>()
  const good = new Set<string>()
  for (const url of [
    ...pages,
    ...pages.map(
      page =>
        `${page}${page.includes('?') ? '&' : '?'}id=${taskId}&like=${taskId}&text=${encodeURIComponent(hostile)}&next=${encodeURIComponent(hostile)}`,
    ),
  ]) {
    for (const as of [admin, null]) {
      const answer = await panel.ask({ url, as, from: freshAddress() })
      seen.add(`${answer.status}`)
      if (answer.status === 200) good.add(url)
      assertStrict(url, answer)
    }
  }
  assert.deepEqual(
    pages.filter(page => !good.has(page)),
    pages.filter(page => noPages.includes(page)),
    'what is not reached is not tried',
  )
  assert.deepEqual(
    [...seen].filter(status => Number(status) >= 500),
    [],
  )
})

test('what a run failed with stands in the sentence about its end as the text that it is', async () => {
  const answer = await panel.ask({ url: `/admin/core/bgtask/${taskId}`, as: admin })
  assertStrict('a task that failed with markup', answer)
  assert.match(answer.body, /class="ended tone-bad">.*?<span>[^<]*&#60;script&#62;alert\(1\)&#60;\/script&#62;&#34;&#62;[^<]*</s)
})

test("what render.ts makes into markup by itself (icons' labels, times' titles, sentences) cannot leave its place", () => {
  assert.equal(escapeHtml(`a<b>&"c"'d'`), 'a&#60;b&#62;&#38;&#34;c&#34;&#39;d&#39;')
})

test('every error page has the policy, is not stored, and tells nothing of the inside', async () => {
  const provoked: [number, Promise<Answer>][] = [
    [404, panel.ask({ url: `/nowhere/${encodeURIComponent(hostile)}`, as: admin })],
    [404, panel.ask({ url: '/admin/core/bgtask/999999', as: admin })],
    [405, panel.ask({ method: 'DELETE', url: '/admin', as: admin })],
    [401, panel.ask({ method: 'POST', url: '/admin/core/bgtask', body: {} })],
    [403, panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: { ...admin, csrf: hostile }, body: {} })],
    [403, panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: admin, body: {}, headers: { origin: 'http://evil.example' } })],
    [413, panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: admin, body: { action: 'x'.repeat(300_000) } })],
    [
      415,
      panel.ask({
        method: 'POST',
        url: '/admin/core/bgtask',
        as: admin,
        body: 'x',
        headers: { 'content-type': 'text/plain', origin: panel.origin },
      }),
    ],
    [421, panel.ask({ url: '/admin', headers: { host: 'evil.example' } })],
    [422, panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: admin, body: { action: hostile } })],
    [401, panel.ask({ url: '/api/v1/tasks/1' })],
    [403, panel.ask({ url: '/admin/live?page=/admin', as: admin, headers: { 'sec-fetch-site': 'cross-site' } })],
    [400, panel.ask({ url: '/admin/%E0%A4%A' })],
  ]
  for (const [status, asked] of provoked) {
    const answer = await asked
    assert.equal(answer.status, status, answer.body.slice(0, 300))
    assertStrict(String(status), answer)
  }
})

test('a fault of ours is told by a reference, never by a stack, a path or a statement', async () => {
  panel.sql('ALTER TABLE bg_task RENAME TO bg_task_elsewhere')
  try {
    for (const url of ['/admin', '/admin/core/bgtask', `/admin/core/bgtask/${taskId}`]) {
      const answer = await panel.ask({ url, as: admin })
      assert.equal(answer.status, 500, url)
      assertStrict(url, answer)
      assert.match(answer.body, /[0-9a-f]{8}/)
      assert.doesNotMatch(answer.body, /bg_task|SQLITE|select |no such table/i)
    }
  } finally {
    panel.sql('ALTER TABLE bg_task_elsewhere RENAME TO bg_task')
  }
  assert.equal((await panel.ask({ url: '/admin', as: admin })).status, 200)
})

test('what is on the wire before anything is understood has no more to say', async () => {
  for (const [bytes, status] of [
    ['GET / HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: 127.0.0.1:${panel.port}\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ] as const) {
    const said = await panel.wire(bytes)
    assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(bytes.slice(0, 40)))
    assert.doesNotMatch(said, stackTrace)
  }
})

test('assets alone may be kept', async () => {
  const page = await panel.ask({ url: '/admin/login' })
  const assets = [...page.body.matchAll(/(?:href|src)="(\/admin\/assets\/[^"#]+)/g)].map(found => found[1]!)
  assert.ok(assets.length >= 3)
  for (const url of assets) {
    const { headers, status } = await panel.ask({ url })
    assert.deepEqual([status, headers['cache-control']], [200, 'public, max-age=31536000, immutable'], url)
    assert.match(String(headers['content-security-policy']), /^default-src 'none'/)
    assert.equal(headers['x-content-type-options'], 'nosniff')
  }
  assert.equal((await panel.ask({ url: '/admin/assets/x/app.css' })).headers['cache-control'], 'no-store')
})

/** What may stand in a page unescaped, and why it may. */
const raw: [RegExp, string][] = [
  [/^include\('\.\/[\w-]+', /, 'a view of ours, which this test reads too'],
  [/^it\.body$/, 'the page within the frame: a view of ours'],
  [/^it\.icon\(/, 'an element made in render.ts; its label is escaped there'],
  [/^it\.time\(/, 'an element made in render.ts; the words of the time are escaped there'],
  [/^it\.sentence\(/, 'a sentence made in render.ts; every part of it is escaped there'],
  [/^it\.outputHtml$/, 'the output of a run as ansiToHtml gives it, which is fuzzed'],
  [/^line\.html$/, 'a line of output as ansiToHtml gives it, with marks put around its text, which is fuzzed too'],
  [/^it\.(outputMark|endMark)$/, 'comments at which debug.ts cuts its page'],
]

test('everything in a view is escaped, but for what a list allows, each with its reason', () => {
  const used = new Set<RegExp>()
  for (const { name, text } of views()) {
    for (const [, code] of text.matchAll(/<%~\s*([\s\S]*?)\s*%>/g)) {
      const allowed = raw.find(([pattern]) => pattern.test(code!))
      assert.ok(allowed, `${name}: <%~ ${code} %> is written into the page as it is. Write <%= instead, or say here why it may.`)
      used.add(allowed[0])
    }
  }
  assert.deepEqual(
    raw.filter(([pattern]) => !used.has(pattern)).map(([pattern]) => String(pattern)),
    [],
    'nobody uses these any more',
  )
})

test('no view and no script of ours makes markup out of text', () => {
  for (const { name, text } of views()) {
    assert.doesNotMatch(text, /\sstyle=|<style|\son[a-z]+\s*=\s*["']|javascript:|<base\b|<iframe|<object|<embed/i, name)
    for (const [tag] of text.matchAll(/<script\b(?:<%[\s\S]*?%>|[^>])*>/g))
      assert.match(tag, /^<script type="module" src="<%= it\.asset\('[\w.-]+'\) %>">$/, name)
    // An attribute without quotes ends at the first space of what is written into it.
    assert.doesNotMatch(text, /\s[a-z-]+=<%/, name)
  }
  for (const name of readdirSync(join(root, 'public')).filter(file => file.endsWith('.js'))) {
    assert.doesNotMatch(
      readFileSync(join(root, 'public', name), 'utf8'),
      /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setAttribute\(['"]on)/,
      name,
    )
  }
})

const views = () => readdirSync(join(root, 'views')).map(name => ({ name, text: readFileSync(join(root, 'views', name), 'utf8') }))

const stackTrace = /\bat \S+ \(?(?:file:|node:|\/)|node_modules|\.(?:ts|js):\d+:\d+|Error: /

const assertStrict = (what: string, { status, headers, body }: Answer) => {
  const given = String(headers['content-security-policy'])
  const isPage = String(headers['content-type']).startsWith('text/html')
  if (isPage) assert.equal(given, policy, what)
  else assert.ok(given === policy || barePolicy.test(given), `${what}: ${given}`)
  assert.equal(headers['cache-control'], 'no-store', what)
  assert.equal(headers['x-content-type-options'], 'nosniff', what)
  assert.equal(headers['x-powered-by'], undefined)
  assert.equal(headers.server, undefined)
  assert.equal(headers['access-control-allow-origin'], undefined)
  if (status < 300 || status >= 400) assert.doesNotMatch(body, stackTrace, what)
  if (!isPage) return
  assert.equal(headers['x-frame-options'], 'DENY', what)
  for (const [tag] of body.matchAll(/<[a-z][^>]*>/gi)) {
    assert.doesNotMatch(
      tag.replace(/"[^"]*"/g, '""'),
      /\s(?:on[a-z]+|style)\s*=|^<(?:style|base|iframe|object|embed)\b/i,
      `${what}: ${tag}`,
    )
    assert.doesNotMatch(tag, /(?:href|src|action)="\s*(?:javascript|data|vbscript):/i, `${what}: ${tag}`)
    // Comes from nowhere but here.
    assert.doesNotMatch(tag, /^<(?:script|link|img|use)\b[^>]*(?:src|href)="(?!\/admin\/assets\/)/, `${what}: ${tag}`)
  }
  for (const [, inside] of body.matchAll(/<script\b[^>]*>([\s\S]*?)<\/script>/g))
    assert.equal(inside, '', `${what}: a script within the page`)
  assert.doesNotMatch(body, /<script>alert|<img src=x|' onmouseover='/, `${what}: what was given came back as markup`)
}
