import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { retryTask } from '../app/api/control.ts'
import { findTask } from '../app/store/find-task.ts'
import { until } from './helpers/scene.ts'
import { openServing } from './web/api/serving.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

/*
 * Each line of the README that has curl in it, run by a shell as it stands there. Three things are put in their place, which are another's on each
 * machine: the port, the path of the socket, and the key of cron with its address.
 */

test('what the README says by curl comes back as it says; a line that is not tried here is found', { timeout: 180_000 }, async t => {
  const place = mkdtempSync(join(tmpdir(), 'bgtask-readme-'))
  t.after(() => rmSync(place, { recursive: true, force: true }))
  const socket = join(place, 'bgtask.sock')
  const actions = join(place, 'actions')
  mkdirSync(join(actions, 'report'), { recursive: true })
  mkdirSync(join(place, 'modules'))
  writeFileSync(join(actions, 'report', 'build.ts'), exampleOf('Builds the report of a month.'))
  // curl reads this by itself, so the lines stay as they are: the status comes after the body.
  writeFileSync(join(place, '.curlrc'), 'silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
  const env = {
    BGTASK_SOCKET: socket,
    BGTASK_ACTIONS: `${actions}:${join(root, 'test', 'fixtures', 'actions')}`,
    BGTASK_MODULES: join(place, 'modules'),
    BGTASK_COMMANDS: join(root, 'commands.ts'),
    BGTASK_AUTOSTART: 'on',
  }
  const serving = await openServing(t, env)
  const { background } = serving

  let cronKey = ''
  const tried = new Set<string>()
  /** Runs a line of the README. @returns exit code, status of the answer, and the answer */
  const say = async (line: string, token = ''): Promise<Said> => {
    assert.ok(lines.includes(line), `this is not in the README: ${line}`)
    tried.add(line)
    return shell(
      line
        .replaceAll('http://127.0.0.1:8080', serving.url)
        .replaceAll('/run/bgtask/bgtask.sock', socket)
        .replaceAll('https://panel.example.com/cron/<key>', `${serving.url}/cron/${cronKey}`),
      token,
    )
  }
  const shell = async (line: string, token = ''): Promise<Said> => {
    const all = { ...serving.env, TOKEN: token, CURL_HOME: place, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
    const child = spawn('sh', ['-c', line], { cwd: root, env: all, stdio: ['ignore', 'pipe', 'pipe'] })
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    const at = stdout.lastIndexOf('\n')
    return { code: code as number, status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at), stderr }
  }
  const bgtask = async (args: string) => {
    const { code, body, stderr } = await shell(`node index.js ${args}`)
    assert.equal(code, 0, `${args}: ${stderr}`)
    return body
  }
  const answer = async <Value = Answered>(status: number, line: string, token?: string): Promise<Value> => {
    const said = await say(line, token)
    assert.deepEqual([said.code, said.status], [0, status], `${line}: ${said.body} ${said.stderr}`)
    return JSON.parse(said.body) as Value
  }

  await serving.start()
  try {
    for (let n = 1; n <= 5; n++) await background.addTask('test/ok')
    const failing = await background.addTask('test/fails')

    // Tokens for programs
    tried.add(tokenLine)
    const made = await shell(`${tokenLine}\nprintf '%s\\n' "$TOKEN"`)
    assert.equal(made.code, 0, made.stderr)
    const shop = made.body.trim()
    assert.match(shop, /^bgt_\d+_[\w-]{43}$/)
    const addLine = `curl -H "Authorization: Bearer $TOKEN" --json '{"action": "report/build", "params": {"month": "2026-11"}}' http://127.0.0.1:8080/api/v1/tasks`
    const added = await answer(201, addLine, shop)
    assert.deepEqual([added.task.id, added.task.state, added.added, added.task.creator], [7, 'waiting', true, 'shop'])
    const seen = await answer(200, 'curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/v1/tasks/7', shop)
    assert.deepEqual([seen.task.id, Array.isArray(seen.runs)], [7, true])
    // As it says for an older curl.
    const older = addLine.replace('--json', "-H 'Content-Type: application/json' -d").replace('http://127.0.0.1:8080', serving.url)
    assert.equal((await shell(older, shop)).status, 201)
    const wait = `curl -H "Authorization: Bearer $TOKEN" 'http://127.0.0.1:8080/api/v1/tasks/7/wait?timeoutMs=30000'`
    const ended = await answer(200, wait, shop)
    assert.deepEqual([ended.ended, ended.task.state, ended.task.content], [true, 'succeeded', 'built 2026-11'])
    const printed = await say(`curl -H "Authorization: Bearer $TOKEN" 'http://127.0.0.1:8080/api/v1/tasks/7/output?tail=20'`, shop)
    assert.equal(printed.status, 200)
    assert.match(printed.body, /all pages are built.*2026-11/)
    const again = await answer(200, 'curl -H "Authorization: Bearer $TOKEN" -X POST http://127.0.0.1:8080/api/v1/tasks/7/retry', shop)
    assert.ok(['waiting', 'running'].includes(again.task.state), again.task.state)
    assert.equal((await answer(200, wait, shop)).ended, true)
    await until('it has failed', async () => (await findTask(background.db, failing.id))?.state === 'failed')
    const failed = await answer<{ tasks: { id: number }[] }>(
      200,
      `curl -H "Authorization: Bearer $TOKEN" 'http://127.0.0.1:8080/api/v1/tasks?state=failed&limit=10'`,
      shop,
    )
    assert.deepEqual(
      failed.tasks.map(({ id }) => id),
      [failing.id],
    )

    // Line by line; sent again under the same key, nothing is added twice
    const [first, second] = [await say(manyLine, shop), await say(manyLine, shop)]
    assert.deepEqual([first.code, first.status, second.status], [0, 200, 200], first.stderr)
    const told = first.body
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(told.at(-1), { end: { lines: 2, added: 2, kept: 0, refused: 0 } })
    assert.deepEqual(
      told.slice(0, 2).map(({ line, added }) => [line, added]),
      [
        [1, true],
        [2, true],
      ],
    )
    assert.equal(second.body, first.body)

    // What waits stays so while nobody claims it.
    await bgtask('stop --hold')
    await retryTask(background, 7, 'the test')
    const before = Date.now()
    const moved = await answer(
      200,
      `curl -H "Authorization: Bearer $TOKEN" --json '{"delayMs": 600000}' http://127.0.0.1:8080/api/v1/tasks/7/move`,
      shop,
    )
    assert.ok(moved.task.runAt >= before + 600_000)
    type Edited = { edit: { n: number; changes: { name: string; limit: string | null }[] }; edits: { n: number }[] }
    const edited = await answer<Edited>(
      200,
      `curl -H "Authorization: Bearer $TOKEN" --json '{"params": {"month": "2026-12"}, "graceMs": 3000}' http://127.0.0.1:8080/api/v1/tasks/7/edit`,
      shop,
    )
    assert.deepEqual(
      edited.edit.changes.map(({ name, limit }) => limit ?? name),
      ['month', 'graceMs'],
    )
    assert.equal((await findTask(background.db, 7))?.graceMs, 3_000)
    const edits = 'http://127.0.0.1:8080/api/v1/tasks/7/edits'
    assert.equal((await answer<Edited>(200, `curl -H "Authorization: Bearer $TOKEN" ${edits}`, shop)).edits.length, 1)
    assert.equal((await answer<Edited>(200, `curl -H "Authorization: Bearer $TOKEN" -X POST ${edits}/1/reversal`, shop)).edit.n, 2)
    assert.notEqual((await findTask(background.db, 7))?.graceMs, 3_000)
    const autumn = await background.addTask('report/build', { month: '2026-10' }, { unique: 'report-autumn', delayMs: 3_600_000 })
    const held = await answer<{ tasks: { id: number }[] }>(
      200,
      `curl -H "Authorization: Bearer $TOKEN" 'http://127.0.0.1:8080/api/v1/tasks?unique=report-autumn'`,
      shop,
    )
    assert.deepEqual(
      held.tasks.map(({ id }) => id),
      [autumn.id],
    )
    const sooner = await answer(
      200,
      `curl -H "Authorization: Bearer $TOKEN" --json '{"unique": "report-autumn", "delayMs": 0}' http://127.0.0.1:8080/api/v1/tasks/move`,
      shop,
    )
    assert.ok(sooner.task.runAt <= Date.now())
    const cancelled = await answer(
      200,
      `curl -H "Authorization: Bearer $TOKEN" --json '{"unique": "report-autumn"}' http://127.0.0.1:8080/api/v1/tasks/cancellation`,
      shop,
    )
    assert.deepEqual([cancelled.task.id, cancelled.task.state], [autumn.id, 'cancelled'])

    // Schedules
    const planner = await serving.token(['schedule:read', 'schedule:write', 'task:add:report/build'])
    type Monthly = { schedule: { name: string; rule: object }; added: boolean; removed: boolean }
    const monthly = await answer<Monthly>(
      201,
      `curl -H "Authorization: Bearer $TOKEN" -X PUT --json '{"cron": "30 2 1 * *", "action": "report/build", "params": {"month": "2026-11"}}' http://127.0.0.1:8080/api/v1/schedules/monthly`,
      planner,
    )
    assert.deepEqual([monthly.schedule.name, monthly.added], ['monthly', true])
    const at = 'http://127.0.0.1:8080/api/v1/schedules/monthly'
    assert.deepEqual((await answer<Monthly>(200, `curl -H "Authorization: Bearer $TOKEN" ${at}`, planner)).schedule.rule, {
      cron: '30 2 1 * *',
      timeZone: 'UTC',
    })
    assert.equal((await answer<Monthly>(200, `curl -H "Authorization: Bearer $TOKEN" -X DELETE ${at}`, planner)).removed, true)

    // Commands
    await bgtask('start')
    const ran = await say('node index.js command deploy environment=staging revision=a1b2c3d --wait')
    assert.equal(ran.code, 0, ran.stderr)
    const deployed = await answer(
      201,
      `curl -H "Authorization: Bearer $TOKEN" --json '{"args": {"environment": "staging", "revision": "a1b2c3d"}}' http://127.0.0.1:8080/api/v1/commands/deploy`,
      await serving.token(['command:deploy']),
    )
    assert.equal(deployed.task.action, 'core/command')

    // Over the Unix socket, without a token
    const local = await answer(
      201,
      `curl --unix-socket /run/bgtask/bgtask.sock --json '{"action": "report/build", "params": {"month": "2026-11"}}' http://localhost/api/v1/tasks`,
    )
    assert.equal(local.task.creator, 'unix socket')

    // Cron: 204 when it was asked for, 429 when that was just now, else 403; -f makes the latter two an error
    cronKey = /\/cron\/([\w-]{30,})/.exec(await bgtask('cron key'))![1]!
    const cron = 'curl -fsS https://panel.example.com/cron/<key>'
    const [asked, tooSoon] = [await say(cron), await say(cron)]
    assert.deepEqual([asked.code, asked.status, tooSoon.code, tooSoon.status], [0, 204, 22, 429], asked.stderr)
    assert.equal((await shell(`curl -fsS ${serving.url}/cron/${'x'.repeat(43)}`)).status, 403)

    // Probes: what systemd and a container run is what stands after the word that is theirs
    for (const [word, probed] of [
      ['ExecStartPost=', 'ready'],
      ['HEALTHCHECK CMD ', 'live'],
    ] as const) {
      const line = lines.find(one => one.startsWith(word))!
      assert.ok(line.includes(`/healthz/${probed}`), line)
      tried.add(line)
      const said = await shell(line.slice(word.length).replaceAll('http://127.0.0.1:8080', serving.url))
      assert.deepEqual([said.code, said.status], [0, 200], `${line}: ${said.stderr}`)
    }

    // A deploy
    tried.add('git pull && npm ci')
    const restarted = await answer<{ state: string }>(
      200,
      'curl --fail-with-body -X POST -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/v1/loop/restart',
      await serving.token(['loop:restart']),
    )
    assert.equal(restarted.state, 'started')
  } finally {
    await bgtask('stop')
  }
  assert.deepEqual(
    lines.filter(line => !tried.has(line)),
    [],
    'these lines of the README are not tried',
  )
})

interface Said {
  code: number
  status: number
  body: string
  stderr: string
}
interface Answered {
  task: { id: number; state: string; creator: string; content: string; action: string; runAt: number }
  added: boolean
  ended: boolean
  runs: unknown[]
}

/** The one block of the README that has these words. */
const exampleOf = (words: string): string => {
  const found = blocks.filter(block => block.includes(words))
  assert.equal(found.length, 1, words)
  return found[0]!
}

const blocks = [...readme.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, block]) => block!)

/** Each statement of a block that has curl in it, whatever else stands there; and what is said of curl between the lines. */
const lines = [
  ...blocks.filter(block => /\bcurl /.test(block)).flatMap(block => block.trim().split(/(?<![|\\])\n/)),
  ...[...readme.replaceAll(/^```.*?^```$/gms, '').matchAll(/`(curl [^`]+)`/g)].map(([, line]) => line!),
]

const tokenLine = "TOKEN=$(node index.js token create shop --scope 'task:add:report/*' --scope task:read --scope task:control)"
const manyLine = `printf '%s\\n' '{"action": "report/build", "params": {"month": "2026-10"}}' '{"action": "report/build", "params": {"month": "2026-11"}}' |
  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/x-ndjson' -H 'Idempotency-Key: autumn' --data-binary @- http://127.0.0.1:8080/api/v1/tasks`
