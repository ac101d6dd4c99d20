import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { whyNotStart } from '../../app/api/start-loop.ts'
import { hold, readFlag, readHold, releaseHold } from '../../app/runs/flags.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { type AuditVia, appendAudit, listAudit } from '../../app/store/audit.ts'
import { en } from '../../app/texts/en.ts'
import { csvLine } from '../../app/web/audit-csv.ts'
import { auditSentence, viaWords } from '../../app/web/audit-sentence.ts'
import { type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { passTime } from '../helpers/pass-time.ts'
import { until } from '../helpers/scene.ts'

const began = Date.now()
let panel: ListeningPanel
let operator: SignedIn
let admin: SignedIn

before(async () => {
  panel = await listenPanel()
  // Visits of these tests must not start a supervisor unless they are meant to.
  hold(panel.runtime, 'the test', Date.now())
  operator = await panel.signIn('operator')
  admin = await panel.signIn('admin')
})
after(() => panel.close())

const post = (url: string, body: Record<string, string> = {}, as = operator) => panel.ask({ method: 'POST', url, as, body })
const click = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'same-origin', 'sec-fetch-user': '?1' }
const newest = async (limit = 1) =>
  (await listAudit(panel.background.db, { limit })).map(({ act, subject, detail, via, userName, ip }) => ({
    act,
    subject,
    detail,
    via,
    userName,
    ip,
  }))
const by = { userName: 'operator', ip: '127.0.0.1' }
const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))

test('each button of a task is told before it is done, with who, from where and how', async () => {
  const { background } = panel
  const loop = await background.addTask('test/ok', {}, 'FOREVER')
  const once = await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  assert.deepEqual(
    await newest(),
    [{ act: 'login', subject: null, detail: null, via: 'form', userName: 'admin', ip: '127.0.0.1' }],
    'the application’s own adding is not told',
  )
  for (const [task, noun] of [
    [loop, 'stop'],
    [loop, 'start'],
    [loop, 'restart'],
    [once, 'run'],
    [once, 'cancellation'],
    [once, 'return'],
    [once, 'cancellation'],
    [once, 'retry'],
    [once, 'cancellation'],
    [once, 'deletion'],
  ] as const) {
    const answer = await post(`/admin/core/bgtask/${task.id}/${noun}`)
    assert.equal(answer.status, 303, noun)
    const expected = { act: `task-${noun}`, subject: String(task.id), detail: 'test/ok', via: 'form', ...by }
    assert.deepEqual(await newest(), [expected])
  }
  const clone = await post(`/admin/core/bgtask/${loop.id}/clone`)
  const cloned = /\/(\d+)$/.exec(String(clone.headers.location))![1]!
  assert.deepEqual(await newest(), [{ act: 'task-clone', subject: cloned, detail: `test/ok, like task ${loop.id}`, via: 'form', ...by }])

  const added = await post('/admin/core/bgtask', {
    action: 'test/ok',
    exec_type: 'ONCE',
    unique: 'one',
    when: 'in',
    delay: '5',
    delay_unit: 'hours',
  })
  const id = /\/(\d+)$/.exec(String(added.headers.location))![1]!
  assert.deepEqual(await newest(), [{ act: 'task-added', subject: id, detail: 'test/ok', via: 'form', ...by }])
  const kept = await post('/admin/core/bgtask', { action: 'test/ok', exec_type: 'ONCE', unique: 'one', on_conflict: 'keep' })
  assert.match(String(kept.headers.location), new RegExp(`/${id}$`))
  assert.equal((await newest())[0]?.subject, id, 'what is kept is not told again')
  assert.equal((await newest(2))[1]?.act, 'task-clone')
  const replaced = await post('/admin/core/bgtask', { action: 'test/ok', exec_type: 'ONCE', unique: 'one', on_conflict: 'replace' })
  const successor = /\/(\d+)$/.exec(String(replaced.headers.location))![1]!
  assert.deepEqual(await newest(), [{ act: 'task-added', subject: successor, detail: `test/ok, replacing task ${id}`, via: 'form', ...by }])
})

test('what fails is told twice; what is not there, once nowhere', async () => {
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  assert.equal((await post(`/admin/core/bgtask/${id}/retry`)).status, 303)
  const [failed, tried] = await newest(2)
  assert.deepEqual([tried?.act, failed?.act, failed?.subject], ['task-retry', 'task-retry-failed', String(id)])
  assert.match(failed!.detail!, /only a succeeded, failed or cancelled one can be retried/)
  const rows = async () => (await listAudit(panel.background.db, { limit: 1 }))[0]!.id
  const before = await rows()
  assert.equal((await post('/admin/core/bgtask/999999/retry')).status, 404)
  assert.equal((await post('/admin/core/bgtask/debug', { id: '999999' })).status, 404)
  assert.equal((await post('/admin/core/bgtask', { action: 'test/nothing' })).status, 422)
  assert.equal((await post('/admin/core/bgtask/loop/reload')).status, 303)
  assert.equal((await post('/admin/core/bgtask/loop/stop')).status, 303)
  assert.equal((await post('/admin/preferences', { theme: 'dark', next: '/admin' })).status, 303)
  assert.equal(await rows(), before)
})

test('the loop: hold, release, reload and a debug run are told; a debug run once', async () => {
  const host = (await import('node:os')).hostname()
  const told = (act: string) => ({ act, subject: 'loop', detail: host, via: 'form', ...by })
  panel.standIn()
  await post('/admin/core/bgtask/loop/reload')
  assert.deepEqual(await newest(), [told('loop-reloaded')])
  await post('/admin/core/bgtask/loop/hold')
  assert.deepEqual(await newest(), [told('loop-held')])
  await post('/admin/core/bgtask/loop/start')
  assert.deepEqual(await newest(), [told('loop-released')])
  panel.standDown()
  hold(panel.runtime, 'the test', Date.now())
  const { id } = await panel.background.addTask('test/ok', {}, { delayMs: 3_600_000 })
  const before = (await listAudit(panel.background.db, { limit: 1 }))[0]!.id
  const run = await post('/admin/core/bgtask/debug', { id: String(id), limit_s: '60' })
  assert.match(run.body, /ended well/)
  assert.deepEqual(await newest(), [{ act: 'debug-run', subject: String(id), detail: 'test/ok', via: 'form', ...by }])
  assert.equal((await listAudit(panel.background.db, { limit: 1 }))[0]!.id, before + 1)
})

/** What people can do here, and what would be seen if it were done. */
const acts = (): Record<string, { ask: () => ReturnType<typeof post>; prepare?: () => void }> => {
  const task = (id: number, noun: string) => ({ ask: () => post(`/admin/core/bgtask/${id}/${noun}`) })
  const running = () => void panel.standIn()
  const heldNoMore = () => {
    releaseHold(panel.runtime)
    running()
  }
  return {
    start: { ask: () => post('/admin/core/bgtask/loop/start'), prepare: () => releaseHold(panel.runtime) },
    release: { ask: () => post('/admin/core/bgtask/loop/start') },
    stop: { ask: () => post('/admin/core/bgtask/loop/stop'), prepare: running },
    'restart by form': { ask: () => post('/admin/core/bgtask/restart'), prepare: running },
    'restart by click': {
      ask: () => panel.ask({ url: '/admin/core/bgtask/restart', as: operator, headers: { ...click, referer: `${panel.origin}/admin` } }),
      prepare: running,
    },
    hold: { ask: () => post('/admin/core/bgtask/loop/hold'), prepare: heldNoMore },
    reload: { ask: () => post('/admin/core/bgtask/loop/reload'), prepare: running },
    add: { ask: () => post('/admin/core/bgtask', { action: 'test/ok', exec_type: 'ONCE' }) },
    'add with a key': { ask: () => post('/admin/core/bgtask', { action: 'test/ok', exec_type: 'ONCE', unique: 'k' }) },
    'loop start': task(1, 'start'),
    'loop stop': task(1, 'stop'),
    'loop restart': task(1, 'restart'),
    run: task(2, 'run'),
    cancellation: task(2, 'cancellation'),
    retry: task(3, 'retry'),
    'put back': task(3, 'return'),
    deletion: task(3, 'deletion'),
    clone: task(2, 'clone'),
    'debug run': { ask: () => post('/admin/core/bgtask/debug', { id: '2' }) },
  }
}

test('what the audit cannot tell is not done, and a sentence says so', async () => {
  const other = panel
  panel = await listenPanel()
  const [operatorBefore] = [operator]
  try {
    const { background, sql, runtime } = panel
    operator = await panel.signIn('operator')
    await background.addTask('test/ok', {}, 'FOREVER')
    await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
    const done = await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
    await post(`/admin/core/bgtask/${done.id}/cancellation`)
    sql("CREATE TRIGGER no_audit BEFORE INSERT ON bg_audit BEGIN SELECT RAISE(ABORT, 'the secret reason'); END")
    for (const [name, { ask, prepare }] of Object.entries(acts())) {
      passTime(60_000)
      hold(runtime, 'the test', 1)
      prepare?.()
      const before = panel.snapshot()
      const answer = await ask()
      assert.equal(answer.status, 500, name)
      assert.match(answer.body, /The audit cannot be written, so this is not done/, name)
      assert.doesNotMatch(answer.body, /secret reason/, name)
      assert.equal(panel.snapshot(), before, name)
      assert.equal(readFlag(runtimePaths(runtime).reload), null, name)
      panel.standDown()
    }
    // A page is there all the same, and says what it could not do.
    releaseHold(runtime)
    const page = await panel.ask({ url: '/admin', as: operator, headers: click })
    assert.equal(page.status, 200)
    assert.match(mainOf(page.body), /could not be started: The audit cannot be written/)
    assert.equal(readSupervisor(runtime), null)
    assert.equal(whyNotStart(panel.config, { releaseHold: false }), null)
    const status = await panel.ask({ url: '/admin/reports/status', as: operator })
    assert.match(mainOf(status.body), /The audit cannot be written \(the secret reason\)/)
    // Nothing of all that is in the way once it can be written again.
    sql('DROP TRIGGER no_audit')
    assert.match((await panel.ask({ url: '/admin', as: operator, headers: click })).body, /your visit started it/)
    await until('it runs', () => readSupervisor(runtime))
    assert.equal(readHold(runtime), null)
  } finally {
    await panel.close()
    panel = other
    operator = operatorBefore
  }
})

const hostile = '<script>alert(1)</script>\u202e"; =cmd|x, \u001b[31m\n@here'

test('the page: sentences, newest first, filters in the address, hostile text as text', async () => {
  const { db } = panel.background
  const append = (act: string, more: Partial<Parameters<typeof appendAudit>[1]> = {}) =>
    appendAudit(db, { at: Date.now(), userName: 'eva', ip: '10.9.8.7', via: 'typed', act, subject: null, detail: null, ...more })
  await append('loop-started')
  await append('task-cancellation-failed', { subject: '7', detail: hostile, userName: hostile })
  await append('something-new', { subject: hostile, via: 'new' as AuditVia })
  await append('login-failed', { subject: hostile, userName: null })
  const see = async (query: string) => {
    const answer = await panel.ask({ url: `/admin/reports/audit${query}`, as: admin })
    return {
      status: answer.status,
      text: mainOf(answer.body),
      rows: [...answer.body.matchAll(/<tr id="row-(\d+)"/g)].map(found => Number(found[1])),
    }
  }
  const first = await see('')
  assert.deepEqual(
    first.rows,
    [...first.rows].sort((a, b) => b - a),
  )
  assert.match(first.text, /eva started the supervisor\./)
  assert.match(first.text, /10\.9\.8\.7[\s\S]*a visit, the address typed or bookmarked/)
  assert.match(first.text, /This failed: &lt;script&gt;/)
  assert.match(first.text, /something-new/)
  assert.doesNotMatch(first.text, /<script>alert/)
  assert.match(first.text, /<time datetime="20[^"]+Z"[^>]*data-form="exact"/)

  const only = async (query: string) => (await see(query)).rows.length
  assert.equal(await only('?user=eva&act=loop-started'), 1)
  assert.equal(await only('?user=eva&act=loop-stopped'), 0)
  assert.equal(await only(`?user=${encodeURIComponent(hostile)}`), 1)
  assert.equal(await only('?act=task-cancellation&subject=7'), 1, 'an act with its failures')
  assert.equal(await only('?act=task-retry'), 3)
  // Two days, when the one has ended since this file began.
  const [from, to] = [began, Date.now()].map(at => new Date(at).toISOString().slice(0, 10))
  assert.ok((await only(`?from=${from}&to=${to}`)) > 10)
  assert.equal(await only('?to=2020-01-01'), 0)
  assert.equal(await only('?from=2999-01-01'), 0)
  for (const wrong of ['from=yesterday', 'to=2026-02-31', 'from=2026-1-1', 'to=%00']) {
    const answer = await see(`?${wrong}`)
    assert.deepEqual([answer.status, answer.rows], [422, []], wrong)
    assert.match(answer.text, /is no date/)
  }
  for (const odd of [
    'before=x',
    'after=-1',
    'before=1e9',
    'user[]=x',
    'act=constructor',
    'act=__proto__',
    `subject=${'x'.repeat(900)}`,
    'before=1',
    'after=99999999',
  ])
    assert.equal((await see(`?${odd}`)).status, 200, odd)

  for (let n = 0; n < 120; n++) await append('loop-started', { userName: 'many' })
  const seen: number[] = []
  let query: string | undefined = '?user=many'
  let last = ''
  while (query !== undefined) {
    const { rows, text } = await see(query)
    seen.push(...rows)
    last = text
    query = /rel="next" href="\/admin\/reports\/audit([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&')
  }
  assert.equal(seen.length, 120)
  assert.equal(new Set(seen).size, 120)
  const back = /rel="prev" href="\/admin\/reports\/audit([^"]+)"/.exec(last)![1]!.replaceAll('&amp;', '&')
  assert.deepEqual((await see(back)).rows, seen.slice(50, 100))
})

test('the page and its files are for administrators', async () => {
  const viewer = await panel.signIn('viewer')
  for (const url of ['/admin/reports/audit', '/admin/reports/audit.csv', '/admin/reports/audit/chain']) {
    for (const as of [viewer, operator]) assert.equal((await panel.ask({ url, as })).status, 403, url)
    assert.equal((await panel.ask({ url, as: admin })).status, 200, url)
  }
})

test('CSV of what is filtered, all of it, that no spreadsheet takes for a formula', async () => {
  const { db } = panel.background
  const cells = ['=1+1', '+1', '-1', '@x', '\tx', '\rx', ' =1', '\uff1d1', 'a"b', 'a,b', 'a\nb', "'x", hostile, '', 'plain']
  for (const subject of cells) {
    await appendAudit(db, { at: 1_700_000_000_000, userName: 'csv', ip: null, via: 'form', act: 'user-added', subject, detail: subject })
  }
  for (let n = 0; n < 1_100; n++)
    await appendAudit(db, { at: n, userName: 'csv', ip: null, via: 'form', act: 'login', subject: null, detail: null })
  const answer = await panel.ask({ url: '/admin/reports/audit.csv?user=csv', as: admin })
  assert.match(String(answer.headers['content-type']), /^text\/csv; charset=utf-8/)
  assert.match(String(answer.headers['content-disposition']), /^attachment; filename="audit-\d{4}-\d\d-\d\d\.csv"$/)
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  const [head, ...rows] = parseCsv(answer.body)
  assert.deepEqual(head, ['id', 'time', 'who', 'act', 'subject', 'detail', 'via', 'ip', 'sentence', 'hash'])
  assert.equal(rows.length, 1_115)
  assert.ok(rows.every(row => row.length === head!.length))
  const ids = rows.map(([id]) => Number(id))
  assert.deepEqual(
    ids,
    [...ids].sort((a, b) => b - a),
  )
  const subjects = rows
    .slice(-cells.length)
    .map(row => row[4]!)
    .reverse()
  assert.deepEqual(
    subjects,
    cells.map(cell =>
      cell === hostile
        ? hostile.replace('; =', "; '=").replace('\n@', "\n'@")
        : /^[\s]*[=+\-@\uff1d]|^[\t\r]/.test(cell)
          ? `'${cell}`
          : cell,
    ),
  )
  for (const row of rows) for (const cell of row) assert.doesNotMatch(cell, /^[=+\-@\t\r]/)
  assert.deepEqual(rows.at(-1)?.slice(1, 4), ['2023-11-14T22:13:20.000Z', 'csv', 'user-added'])
  assert.equal(parseCsv((await panel.ask({ url: '/admin/reports/audit.csv?user=nobody', as: admin })).body).length, 1)
  assert.equal((await panel.ask({ url: '/admin/reports/audit.csv?from=x', as: admin })).status, 303)
  assert.equal(csvLine(['a', 1, null, 'b c']), 'a,1,,"b c"\r\n')
})

test('no cell begins with a formula where a spreadsheet splits lines at semicolons or tabs', () => {
  assert.equal(csvLine(['x;=HYPERLINK(A1);y']), `"x;'=HYPERLINK(A1);y"\r\n`)
  assert.equal(csvLine(['a;b', 'a-b', 'a=b', '2026-01-02']), '"a;b",a-b,a=b,2026-01-02\r\n')
  for (const separator of [';', ',', '\t', '\n', '\r\n', '; ', ';;', ';\t ', ';"', '; ""'])
    for (const begins of ['=', '+', '-', '@', '\uff1d', '\uff0b', '\uff0d', '\uff20']) {
      const line = csvLine([`x${separator}${begins}1${separator}${begins}2`, 'y'])
      for (const piece of line.split(/[;,\t\r\n]/))
        assert.doesNotMatch(piece, /^["\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]/, JSON.stringify(line))
    }
})

test('the chain: whole, its head to be noted, and where it is broken; check and the status page say so', async () => {
  const { db } = panel.background
  const see = async () => mainOf((await panel.ask({ url: '/admin/reports/audit/chain', as: admin })).body)
  const head = (await listAudit(db, { limit: 1 }))[0]!
  const whole = await see()
  assert.match(whole, new RegExp(`The chain is whole: ${head.id.toLocaleString('en')} rows are as written`))
  assert.ok(whole.includes(`<code>${head.hash}</code>`))
  const status = async () => mainOf((await panel.ask({ url: '/admin/reports/status', as: admin })).body)
  assert.match(await status(), /its chain is whole/)
  panel.sql(`UPDATE bg_audit SET user_name = 'innocent' WHERE id = ${head.id - 5}`)
  try {
    const broken = await see()
    assert.match(broken, new RegExp(`The chain is broken: row ${head.id - 5} is not as it was written`))
    assert.match(broken, new RegExp(`href="/admin/reports/audit\\?before=${head.id - 4}"`))
    assert.match(await status(), new RegExp(`The chain of the audit is broken: row ${head.id - 5} is not as it was written`))
  } finally {
    panel.sql(`UPDATE bg_audit SET user_name = ? WHERE id = ${head.id - 5}`, 'csv')
  }
  panel.sql(`DELETE FROM bg_audit WHERE id = 3`)
  assert.match(await see(), /The chain is broken: row 3 is missing/)
})

test('every act that the code tells of has its sentence, in a fallback too', () => {
  const named = actsInCode()
  assert.ok(named.size > 25, [...named].join(' '))
  assert.deepEqual(
    [...named].filter(act => !(`audit.act.${act}` in en)),
    [],
  )
  const entry = { act: 'x', userName: 'eva', via: 'form' as AuditVia, subject: '7' }
  assert.equal(auditSentence('en', { ...entry, act: 'task-retry' }), 'eva had task 7 tried again.')
  assert.equal(auditSentence('en', { ...entry, act: 'task-retry-failed' }), 'This failed: eva had task 7 tried again.')
  assert.equal(auditSentence('en', { ...entry, act: 'login-failed', userName: null }), 'Somebody tried to sign in as 7, in vain.')
  assert.equal(
    auditSentence('en', { ...entry, act: 'audit-pruned', userName: null, via: 'supervisor' }),
    'The supervisor removed 7 rows that were older than the audit is kept.',
  )
  for (const act of ['x', 'constructor', '__proto__', 'x-failed', '-failed']) assert.match(auditSentence('zh', { ...entry, act }), /eva.*7/)
  for (const via of ['form', 'ours', 'weak', 'typed', 'link', 'token', 'command-line', 'panel', 'supervisor'] as const) {
    assert.ok(`audit.via.${via}` in en, via)
    assert.notEqual(viaWords('zh', via), via)
  }
})

/** Names that stand after `act:` in the code, those that are chosen from several, and the nouns of the buttons. */
const actsInCode = (): Set<string> => {
  const app = join(import.meta.dirname, '..', '..', 'app')
  const textOf = (folder: string) =>
    readdirSync(join(app, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts') && !/texts|migrations/.test(name))
      .map(name => readFileSync(join(app, folder, name), 'utf8'))
      .join('\n')
  const all = textOf('.')
  const plain = [...all.matchAll(/\bact: (?:\w+ \?\? )?'([a-z-]+)'(?! \|)/g)].map(match => match[1]!)
  const chosen = [...textOf('api').matchAll(/'((?:loop|tasks?)-[a-z]+)'/g)].map(match => match[1]!)
  const buttons = [...all.matchAll(/told\('([a-z]+)'/g)].map(match => `task-${match[1]}`)
  assert.ok(chosen.length > 5 && buttons.length > 5)
  return new Set([...plain.filter(act => act !== 'try'), ...chosen, ...buttons])
}

/** RFC 4180, strictly. */
const parseCsv = (text: string): string[][] => {
  const rows: string[][] = []
  let row: string[] = []
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy
  while (cell.lastIndex < text.length) {
    const found = cell.exec(text)
    assert.ok(found, 'a line that is no CSV')
    row.push(found[1] === undefined ? found[2]! : found[1].replaceAll('""', '"'))
    if (found[3] === '\r\n') {
      rows.push(row)
      row = []
    }
  }
  assert.deepEqual(row, [])
  return rows
}
