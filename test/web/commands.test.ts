import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { makeSchedule } from '../../app/api/schedules.ts'
import { sendCommand } from '../../app/api/send-command.ts'
import { makeToken } from '../../app/api/tokens.ts'
import { commandLine } from '../../app/cli/audited.ts'
import { hold } from '../../app/runs/flags.ts'
import type { Role } from '../../app/web/roles.ts'
import { commandScene } from '../commands/scene.ts'
import { hostileJson, hostileText } from '../helpers/hostile.ts'
import { freshAddress, type ListeningPanel, listenPanel, type SignedIn } from '../helpers/listening-panel.ts'
import { ageProof } from '../helpers/open-panel.ts'

const seed = Number(process.env.BGTASK_FUZZ_SEED ?? randomInt(2 ** 31))
const factor = Number(process.env.BGTASK_FUZZ_RUNS ?? 1)

const commands = commandScene()
const words = /^[a-z0-9 $`;|&<>"'\\*]{1,40}$/
const all = {
  open: {
    description: 'For operators <b>too</b>.',
    executable: commands.witness,
    arguments: ['--level={level}', '{mode}', '{loud}', '{word}'],
    parameters: {
      level: { type: 'integer', minimum: 1, maximum: 3 },
      mode: { enum: ['fast', 'safe'] },
      loud: { type: 'boolean', flag: '--loud' },
      word: { type: 'string', pattern: words.source, maxLength: 40, default: 'none' },
    },
    env: { API_KEY: 'canary-in-the-file' },
  },
  closed: { executable: commands.witness, role: 'admin' },
  gone: { executable: '/no/such/program' },
}
const good = { level: 2, mode: 'safe', loud: true, word: 'a b' }
const fields = { 'args.level': '2', 'args.mode': 'safe', 'args.loud': 'on', 'args.word': 'a b' }

let panel: ListeningPanel
const people = {} as Record<Role, SignedIn>

before(async () => {
  commands.write(all)
  panel = await listenPanel({ env: { BGTASK_COMMANDS: commands.file } })
  hold(panel.runtime, 'the test', Date.now())
  for (const role of ['viewer', 'operator', 'admin'] as const) people[role] = await panel.signIn(role, { from: freshAddress() })
})
after(async () => {
  await panel.close()
  commands.remove()
})

const mainOf = (html: string) => html.slice(html.indexOf('<main'), html.indexOf('</main>'))
const tasks = () => panel.sql("SELECT id, params, type, creator, state FROM bg_task WHERE action = 'core/command' ORDER BY id")
const post = (role: Role, name: string, body: Record<string, string>) =>
  panel.ask({ method: 'POST', url: `/admin/core/commands/${name}`, as: people[role], body, from: freshAddress() })
const sealIn = (html: string) => /name="seen" value="(\w+)"/.exec(html)?.[1] ?? ''
const run = async (role: Role, name: string, values: Record<string, string>) => {
  const shown = await post(role, name, { step: 'show', ...values })
  return post(role, name, { step: 'run', seen: sealIn(shown.body), ...values })
}
const newToken = async (...scopes: string[]) =>
  (await makeToken(panel.background.db, { name: 'the test', ip: null, via: 'command-line' }, { name: 'commands', scopes })).text
const api = (token: string, url: string, body?: unknown) =>
  panel.ask({
    method: body === undefined ? 'GET' : 'POST',
    url: `/api/v1${url}`,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    from: freshAddress(),
  })

test('the list says what there is, who may, what is broken; and neither secret nor markup', async () => {
  const { status, body } = await panel.ask({ url: '/admin/core/commands', as: people.viewer })
  assert.equal(status, 200)
  const main = mainOf(body)
  assert.match(main, /For operators &#60;b&#62;too|For operators &lt;b&gt;too/)
  assert.match(main, /The command gone names \/no\/such\/program, which is not there/)
  assert.match(main, /Operator/)
  assert.match(main, /Administrator/)
  const one = mainOf((await panel.ask({ url: '/admin/core/commands/open', as: people.operator })).body)
  assert.match(one, /<option value="fast">fast/)
  assert.match(one, /type="number" name="args.level" value="" step="1" min="1" max="3" required/)
  assert.match(one, /pattern="\^\[a-z0-9/)
  assert.match(one, /<code>--level=\{level\}<\/code>/)
  assert.match(one, /API_KEY/)
  for (const text of [main, one]) assert.doesNotMatch(text, /canary-in-the-file|<b>too/)
  assert.equal((await panel.ask({ url: '/admin/core/commands/none', as: people.admin })).status, 404)
  const status2 = await panel.ask({ url: '/admin/reports/status', as: people.viewer })
  assert.match(status2.body, /The command gone names/)
})

test('what will run is shown first, exactly; then it is asked for, and audited', async () => {
  const shown = await post('operator', 'open', { step: 'show', ...fields })
  assert.equal(shown.status, 200)
  assert.match(
    mainOf(shown.body),
    /<code>--level=2<\/code><\/li><li><code>safe<\/code><\/li><li><code>--loud<\/code><\/li><li><code>a b<\/code>/,
  )
  assert.deepEqual(tasks(), [])
  const done = await post('operator', 'open', { step: 'run', seen: sealIn(shown.body), ...fields })
  assert.equal(done.status, 303)
  const [task] = tasks()
  assert.equal(done.headers.location, `/admin/core/bgtask/${task!.id}`)
  assert.deepEqual([JSON.parse(String(task!.params)), task!.type, task!.creator], [{ name: 'open', args: good }, 'command', 'operator'])
  const [row] = panel.sql("SELECT user_name, subject, detail FROM bg_audit WHERE act = 'command' ORDER BY id DESC LIMIT 1")
  assert.deepEqual([row!.user_name, row!.subject], ['operator', String(task!.id)])
  assert.match(String(row!.detail), /"open" \{"level":2,"mode":"safe","loud":true,"word":"a b"\}/)
})

test('what was not shown is not run: other values, no seal, another file', async () => {
  const before = tasks().length
  const seen = sealIn((await post('operator', 'open', { step: 'show', ...fields })).body)
  const other = await post('operator', 'open', { step: 'run', seen, ...fields, 'args.mode': 'fast' })
  assert.equal(other.status, 422)
  assert.match(mainOf(other.body), /no longer what you saw/)
  assert.equal((await post('operator', 'open', { step: 'run', ...fields })).status, 422)
  commands.write({ ...all, open: { ...all.open, arguments: ['--another', ...all.open.arguments] } })
  assert.equal((await post('operator', 'open', { step: 'run', seen, ...fields })).status, 422)
  commands.write(all)
  assert.equal(tasks().length, before)
})

test('values that do not fit are told with all that was filled in', async () => {
  for (const [name, value, problem] of [
    ['level', '9', /level is 9; allowed are whole numbers from 1 to 3/],
    ['level', '1; id', /level is &#34;1; id&#34;|level is &quot;1; id&quot;/],
    ['mode', 'quick', /mode is .*; allowed are fast, safe/],
    ['word', '-rf', /may not begin with -/],
    ['word', 'A', /must be as/],
    ['loud', 'perhaps', /loud is .*; allowed are true and false/],
    ['more', 'x', /is no parameter of open/],
  ] as const) {
    const { status, body } = await post('operator', 'open', { step: 'show', ...fields, [`args.${name}`]: value })
    assert.equal(status, 422, name)
    assert.match(mainOf(body), problem)
    if (name !== 'mode') assert.match(mainOf(body), /<option value="safe" selected>/)
  }
})

test('who may: the role of the entry, on every way to run it', async () => {
  assert.equal((await run('viewer', 'open', fields)).status, 403)
  assert.equal((await run('operator', 'closed', {})).status, 403)
  const looked = await panel.ask({ url: '/admin/core/commands/closed', as: people.operator })
  assert.match(mainOf(looked.body), /This needs the role Administrator/)
  assert.doesNotMatch(mainOf(looked.body), /<button/)
  assert.equal((await run('admin', 'closed', {})).status, 303)
  const id = Number(tasks().at(-1)!.id)
  panel.sql("UPDATE bg_task SET state = 'failed', finished_at = 1, due = NULL WHERE id = ?", id)

  // The ways of any other task.
  const wish = {
    action: 'core/command',
    params: JSON.stringify({ name: 'closed' }),
    'params.name': 'closed',
    'params.args': '{}',
    exec_type: 'ONCE',
  }
  const added = await panel.ask({ method: 'POST', url: '/admin/core/bgtask', as: people.operator, body: wish })
  assert.deepEqual([added.status, added.headers.location], [303, '/admin/core/commands'])
  const form = await panel.ask({ url: '/admin/core/bgtask/new?action=core/command', as: people.operator })
  assert.deepEqual([form.status, form.headers.location], [303, '/admin/core/commands'])
  const cloning = await panel.ask({ url: `/admin/core/bgtask/new?like=${id}`, as: people.operator })
  assert.equal(cloning.headers.location, `/admin/core/commands/closed?like=${id}`)
  for (const noun of ['retry', 'clone']) {
    const again = await panel.ask({ method: 'POST', url: `/admin/core/bgtask/${id}/${noun}`, as: people.operator, body: {} })
    assert.deepEqual([again.status, again.headers.location], [303, `/admin/core/commands/closed?like=${id}`], noun)
  }
  assert.equal(
    (await panel.ask({ method: 'POST', url: '/admin/core/bgtask/debug', as: people.operator, body: { id: String(id), limit_s: '10' } }))
      .status,
    403,
  )
  const { task: later } = await sendCommand(panel.background, 'closed', {}, { delayMs: 3_600_000 }, { actor: commandLine() })
  await panel.ask({ method: 'POST', url: `/admin/core/bgtask/${later.id}/run`, as: people.operator, body: {} })
  assert.deepEqual(
    panel.sql('SELECT due FROM bg_task WHERE id = ?', later.id).map(({ due }) => due),
    ['later'],
    'not made due by who may not run it',
  )
  await panel.ask({
    method: 'POST',
    url: `/admin/core/bgtask/${later.id}/move`,
    as: people.operator,
    body: { when: 'in', delay: '0', delay_unit: 'seconds' },
  })
  assert.deepEqual(
    panel.sql('SELECT due FROM bg_task WHERE id = ?', later.id).map(({ due }) => due),
    ['later'],
    'nor by another due time',
  )
  // Who may is asked for the password first, when it was given long ago: that it was given when the command was asked for does not count.
  const stale = await panel.signIn('admin', { from: freshAddress() })
  ageProof(panel, stale, 300_001)
  for (const [noun, fields] of [
    ['run', {}],
    ['move', { when: 'in', delay: '0', delay_unit: 'seconds' }],
  ] as [string, Record<string, string>][]) {
    const asked = await panel.ask({ method: 'POST', url: `/admin/core/bgtask/${later.id}/${noun}`, as: stale, body: fields })
    assert.deepEqual([asked.status, /Is it still you\?/.test(asked.body)], [403, true], noun)
  }
  assert.deepEqual(
    panel.sql('SELECT due FROM bg_task WHERE id = ?', later.id).map(({ due }) => due),
    ['later'],
    'nor by a session that was left open',
  )
  // Nor by a schedule.
  for (const name of ['closed']) {
    const body = {
      action: 'core/command',
      name: `by-schedule-${name}`,
      kind: 'every',
      every: '1',
      every_unit: 'minutes',
      'params.name': name,
      'params.args': JSON.stringify(good),
    }
    const made = await panel.ask({ method: 'POST', url: '/admin/config/schedules', as: people.operator, body })
    assert.ok(made.status === 403 || made.status === 422, `${made.status}`)
    const who = {
      by: 'operator',
      madeFrom: 'panel' as const,
      actor: { name: 'operator', ip: null, via: 'form' as const, reach: { role: 'operator' as const } },
    }
    const options = { everyMs: 60_000, action: 'core/command', params: { name, args: name === 'open' ? good : {} } }
    await assert.rejects(makeSchedule(panel.background, `by-schedule-${name}`, options, who), { code: 'forbidden' })
  }
  assert.deepEqual(panel.sql('SELECT name FROM bg_schedule'), [])
  await assert.rejects(
    panel.background.addSchedule('wrong', { everyMs: 60_000, action: 'core/command', params: { name: 'open', args: {} } }),
    { code: 'refused' },
  )
  await panel.background.addSchedule('right', { everyMs: 60_000, action: 'core/command', params: { name: 'open', args: good } })
  assert.deepEqual(
    tasks()
      .filter(({ params }) => String(params).includes('closed'))
      .map(({ id, state }) => [id, state]),
    [
      [id, 'failed'],
      [later.id, 'waiting'],
    ],
  )
})

test('a token runs what its scope names, and there is no way round by adding or retrying tasks', async () => {
  const named = await newToken('command:open', 'task:read', 'task:control', 'task:add:core/*', 'task:add:core/command')
  const unnamed = await newToken('task:read', 'task:control', 'task:add:core/*', 'task:add:core/command')
  const before = tasks().length
  assert.deepEqual(
    JSON.parse((await api(named, '/commands')).body).commands.map(({ name }: { name: string }) => name),
    ['open'],
  )
  assert.equal((await api(unnamed, '/commands')).status, 403)
  const sent = await api(named, '/commands/open', { args: good })
  assert.equal(sent.status, 201, sent.body)
  const { task } = JSON.parse(sent.body)
  assert.deepEqual([task.type, task.creator, task.params], ['command', 'commands', { name: 'open', args: good }])
  assert.equal(sent.headers.location, `/api/v1/tasks/${task.id}`)
  panel.sql("UPDATE bg_task SET state = 'failed', finished_at = 1, due = NULL WHERE id = ?", task.id)
  for (const [token, url, body, status, message] of [
    [named, '/commands/closed', {}, 403, /command:closed/],
    [named, '/commands/none', {}, 403, /command:none/],
    [named, '/commands/constructor', {}, 403, /command:constructor/],
    [named, '/commands/open', { args: { ...good, mode: '-x' } }, 422, /mode is/],
    [named, '/commands/open', { args: { ...good, level: 1.5 } }, 422, /level is 1.5/],
    [named, '/commands/open', { argv: ['/bin/sh'] }, 422, /argv/],
    [named, '/commands/open', { args: 7 }, 422, /args/],
    [named, '/commands/open', { args: good, options: { execType: 'FOREVER' } }, 422, /execType/],
    [unnamed, '/commands/open', { args: good }, 403, /command:/],
    [unnamed, '/tasks', { action: 'core/command', params: { name: 'open', args: good } }, 403, /command:open/],
    [unnamed, '/tasks', [{ action: 'core/command', params: { name: 'open', args: good } }], 403, /command:open/],
    [unnamed, '/tasks', { action: 'core/command', params: { name: ['open'] } }, 403, /command:<name>/],
    [unnamed, '/tasks', { action: 'core/command', params: 'open' }, 403, /command:<name>/],
    [named, '/tasks', { action: 'core/command', params: { name: 'closed' } }, 403, /command:closed/],
    [named, '/tasks', { action: 'core/command', params: { name: 'open', args: { ...good, word: '-x' } } }, 422, /may not begin with -/],
    [
      named,
      '/tasks',
      { action: 'core/command', params: { name: 'open', args: good }, options: { execType: 'FOREVER' } },
      422,
      /cannot be kept up/,
    ],
    [unnamed, `/tasks/${task.id}/retry`, {}, 403, /command:open/],
  ] as const) {
    const answer = await api(token, url, body)
    assert.equal(answer.status, status, `${url} ${JSON.stringify(body)}: ${answer.body}`)
    assert.match(JSON.parse(answer.body).error.message, message)
  }
  // Repeated with a key it is done once.
  const withKey = () =>
    panel.ask({
      method: 'POST',
      url: '/api/v1/commands/open',
      headers: { authorization: `Bearer ${named}`, 'content-type': 'application/json', 'idempotency-key': 'once' },
      body: JSON.stringify({ args: good }),
      from: freshAddress(),
    })
  const [first, second] = [await withKey(), await withKey()]
  assert.deepEqual([first.status, second.status], [201, 201])
  assert.deepEqual(JSON.parse(first.body).task.id, JSON.parse(second.body).task.id)
  panel.sql('DELETE FROM bg_task WHERE id = ?', JSON.parse(first.body).task.id)
  const line = JSON.stringify({ action: 'core/command', params: { name: 'open', args: { ...good, word: '-x' } } })
  const loop = JSON.stringify({ action: 'core/command', params: { name: 'open', args: good }, options: { execType: 'FOREVER' } })
  for (const [token, text, message] of [
    [named, line, /may not begin with -/],
    [named, loop, /cannot be kept up/],
    [unnamed, loop, /command:open/],
  ] as const) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' }
    const answer = await panel.ask({ method: 'POST', url: '/api/v1/tasks', headers, body: `${text}\n`, from: freshAddress() })
    assert.match(answer.body, message)
  }
  assert.equal(tasks().length, before + 1)
  assert.equal(String(tasks().at(-1)!.state), 'failed')
  assert.equal((await api(named, `/tasks/${task.id}/retry`, {})).status, 200)
  // By the tasks' own address, with both scopes: the same as by the command's.
  const added = await api(named, '/tasks', {
    action: 'core/command',
    params: { name: 'open', args: { ...good, level: '3' } },
    options: { timeoutMs: null },
  })
  assert.equal(added.status, 201)
  assert.deepEqual((({ params, type, timeoutMs }) => [params.args.level, type, timeoutMs])(JSON.parse(added.body).task), [
    3,
    'command',
    600_000,
  ])
})

test('a file that is not believed is told on the page, and runs nothing', async () => {
  commands.write(all, 0o666)
  const before = tasks().length
  for (const url of ['/admin/core/commands', '/admin/core/commands/open']) {
    const { status, body } = await panel.ask({ url, as: people.operator })
    assert.equal(status, url.endsWith('open') ? 409 : 200)
    assert.match(mainOf(body), /can be written by everybody \(mode 666\).*chmod go-w/)
  }
  assert.equal((await run('admin', 'open', fields)).status, 409)
  assert.match((await api(await newToken('command:open'), '/commands/open', { args: good })).body, /"code":"misconfigured".*chmod go-w/)
  assert.match((await panel.ask({ url: '/admin/reports/status', as: people.viewer })).body, /can be written by everybody/)
  commands.write(all)
  assert.equal(tasks().length, before)
})

test('names and args by the thousand: an answer for each, and nothing stored that does not fit', { timeout: 120_000 }, async t => {
  const runs = Math.max(1, Math.round(400 * factor))
  t.diagnostic(`BGTASK_FUZZ_SEED=${seed}, ${runs} inputs each`)
  const token = await newToken('command:open', 'task:add:core/command')
  const before = Number(tasks().at(-1)?.id ?? 0)
  const name = fc.oneof(
    { weight: 6, arbitrary: fc.constant('open') },
    hostileText,
    fc.constantFrom('closed', 'gone', 'constructor', '__proto__', '../open', 'open/', 'OPEN', 'list'),
  )
  const near = fc.oneof(
    fc.constantFrom('fast', 'safe', '1', '2', '3', 'on', 'true', 'false', 'a b', '-1', '--loud', '0x1', '1e0', '٣', ' 1'),
    hostileText,
  )
  const key = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('level', 'mode', 'loud', 'word') },
    hostileText,
    fc.constantFrom('__proto__', 'constructor', 'name'),
  )
  const values = fc.dictionary(key, near, { maxKeys: 6, noNullPrototype: true })
  await fc.assert(
    fc.asyncProperty(name, values, fc.constantFrom('show', 'run', ''), async (command, given, step) => {
      const body = {
        step,
        seen: '',
        ...Object.fromEntries(Object.entries(given).map(([one, value]) => [`args.${one}`.toWellFormed(), value.toWellFormed()])),
      }
      const url = encodeURIComponent(command.toWellFormed().slice(0, 60)) || 'x'
      const { status } = await post('admin', url, body)
      assert.ok(status < 500, `${status} for ${url} ${JSON.stringify(body)}`)
    }),
    { seed, numRuns: runs },
  )
  const json = fc.oneof(
    values,
    hostileJson.map(text => text),
    fc.constant(good),
    fc.record({ level: fc.oneof(fc.integer(), fc.double(), near), mode: near, loud: fc.oneof(fc.boolean(), near), word: near }),
  )
  await fc.assert(
    fc.asyncProperty(name, json, fc.boolean(), async (command, args, direct) => {
      const asText = typeof args === 'string' ? args : JSON.stringify(args)
      const body = direct
        ? `{"args":${asText}}`
        : `{"action":"core/command","params":{"name":${JSON.stringify(command.toWellFormed())},"args":${asText}}}`
      const url = direct ? `/commands/${encodeURIComponent(command.toWellFormed().slice(0, 60)) || 'x'}` : '/tasks'
      const { status, body: answer } = await api(token, url, body)
      assert.ok(status < 500, `${status} for ${url} ${body}: ${answer}`)
    }),
    { seed, numRuns: runs },
  )
  const stored = tasks().filter(({ id }) => Number(id) > before)
  t.diagnostic(`${stored.length} were stored`)
  assert.ok(stored.length > 0)
  for (const { params } of stored) {
    const { name: command, args } = JSON.parse(String(params))
    assert.equal(command, 'open')
    assert.deepEqual(Object.keys(args).sort(), ['level', 'loud', 'mode', 'word'])
    assert.ok(
      [1, 2, 3].includes(args.level) && ['fast', 'safe'].includes(args.mode) && typeof args.loud === 'boolean' && words.test(args.word),
      JSON.stringify(args),
    )
  }
  assert.deepEqual(commands.witnessed(), [], 'and nothing was started by looking')
})
