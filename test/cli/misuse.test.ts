import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { type Background, openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { exitCodes } from '../../app/errors.ts'
import { linkCompileCache } from '../helpers/shared-compile-cache.ts'
import type { Typed } from './type-all.ts'

/* What is typed wrongly: exit code 2, a sentence in the words of the command line, nothing done. One process is asked them all: one each would take minutes. */

const root = join(import.meta.dirname, '..', '..')
const runtime = mkdtempSync(join(tmpdir(), 'bgtask-misuse-'))
const env = {
  PATH: process.env.PATH!,
  HOME: process.env.HOME ?? '/',
  BGTASK_RUNTIME: runtime,
  BGTASK_ACTIONS: join(root, 'test', 'fixtures', 'actions'),
  BGTASK_COMMANDS: join(root, 'commands.ts'),
}
let background: Background
before(async () => {
  linkCompileCache(runtime)
  background = await openBackground(await loadConfig(env))
  await background.addTask('test/ok', {}, { delayMs: 3_600_000 })
})
after(async () => {
  await background.close()
  rmSync(runtime, { recursive: true, force: true })
})

const long = 'x'.repeat(300)
const misuses: Record<string, [string[], RegExp][]> = {
  add: [
    [[''], /^The action is empty; name one, like report\/build\.$/],
    [['test/ok', '{}', 'more'], /^Too many arguments/],
    [['test/ok', ''], /^The params are not JSON/],
    [['test/ok', '--in', '99999999d'], /^--in is "99999999d"; allowed are durations from 0s to 3650d\.$/],
    [['test/ok', '--in', '-5m'], /^--in is "-5m"; allowed are durations like/],
    [['test/ok', '--in', ''], /^--in is ""; allowed are durations like/],
    [['test/ok', '--at', 'tomorrow'], /^--at is "tomorrow"; write date, time and zone, like .* by --in, like --in 30m\.$/],
    [['test/ok', '--at', ''], /^--at is ""; write date, time and zone/],
    [['test/ok', '--at', '2026-02-30T00:00:00Z'], /^--at is "2026-02-30T00:00:00Z"; write/],
    [['test/ok', '--at', '2026-11-21 08:00'], /^--at is "2026-11-21 08:00"; write date, time and zone/],
    [['test/ok', '--in', '5m', '--at', '2099-01-01T00:00:00Z'], /^Both --at and --in are given/],
    [['test/ok', '--priority', '1.5'], /^--priority is "1.5"; allowed are whole numbers from -1000 to 1000\.$/],
    [['test/ok', '--max-attempts', '0'], /^--max-attempts is "0"/],
    [['test/ok', '--timeout', '0'], /^--timeout is "0"; allowed are durations from 1ms to 24d\.$/],
    [['test/ok', '--grace', '2h'], /^--grace is "2h"; allowed are durations from 0s to 1h\.$/],
    [['test/ok', '--unique', ''], /^--unique is 0 characters long/],
    [['test/ok', '--unique', long], /^--unique is 300 characters long .* allowed are 1 to 255\.$/],
    [['test/ok', '--type', long], /^--type is 300 characters long .* allowed are 0 to 64\.$/],
    [['test/ok', '--creator', 'a\u0000b'], /^--creator has a NUL character in it/],
    [['test/ok', '--on-conflict', 'replace'], /^--on-conflict is about a unique key; give --unique as well/],
    [['test/ok', '--on-conflict', 'nope', '--unique', 'x'], /is invalid\. Allowed choices are keep, replace, keepLast, reject/],
    [['test/ok', '--forever', '--in', '5m'], /^--forever makes a loop, which starts at once; leave out --at and --in, or --forever\.$/],
  ],
  records: [
    [['--state', 'waiting,'], /^--state is ""; allowed are waiting, running/],
    [['--state', 'WAITING'], /^--state is "WAITING"; allowed are/],
    [['--limit', '1e3'], /^--limit is "1e3"; allowed are whole numbers/],
    [['--action', ''], /^--action is 0 characters long/],
    [['--unique', ''], /^--unique is 0 characters long/],
    [['--type', long], /^--type is 300 characters long/],
    [['more'], /^Too many arguments/],
  ],
  ...Object.fromEntries(
    ['show', 'cancel', 'retry', 'output', 'debug'].map(command => [
      command,
      ['', '0', '-1', '1.0', ' 1 ', '1,2', 'nonsense', '99999999999999999999'].map(given => [
        ['--', given],
        /^There is no task ".*": one is named by its id, a whole number from 1 on, or by its uid, 16 of a-z and 0-9\.$/,
      ]),
    ]),
  ),
  'show ': [
    [[], /^No task is given; give its id, or --unique with the key that it holds\.$/],
    [['1', '--unique', 'x'], /^Both an id and --unique are given/],
    [['--unique', ''], /^--unique is 0 characters long/],
    [['1', '2'], /^Too many arguments/],
  ],
  'debug ': [
    [['1', '--timeout', '0'], /^--timeout is "0"; allowed are durations from 1s to 24d\.$/],
    [['1', '--timeout', '99999999d'], /^--timeout is "99999999d"/],
  ],
  move: [
    [['1'], /^Give one of --at and --in/],
    [['1', '--in', '99999999d'], /^--in is "99999999d"; allowed are durations from 0s to 3650d\.$/],
    [['1', '--at', '1800-01-01T00:00:00Z'], /^--at is "1800-01-01T00:00:00Z"; write/],
    [['1', '--in', '5m', '--at', '2099-01-01T00:00:00Z'], /^Both --at and --in are given/],
    [['nonsense', '--in', '5m'], /^There is no task "nonsense"/],
    [['--in', '5m'], /^No task is given/],
    [['--unique', '', '--in', '5m'], /^--unique is 0 characters long/],
  ],
  edit: [
    [['1'], /^Nothing to change is given/],
    [['1', '{}', '--revert', '1'], /^--revert brings back what was before/],
    [['1', '--revert', '0'], /^--revert is "0"; allowed are whole numbers/],
    [['1', '{"rows": 1'], /^The params are not JSON/],
    [['1', '--grace', '2h'], /^--grace is "2h"; allowed are durations from 0s to 1h\.$/],
    [['nonsense', '{}'], /^There is no task "nonsense"/],
  ],
  failed: [
    [['retry'], /^Say which: --action, --type, --creator or --error; or --all/],
    [['retry', '--all', '--action', 'test/ok'], /^Both --all and what narrows it down are given/],
    [['discard', '--action', ''], /^--action is empty/],
  ],
  schedule: [
    [['add', 'x', 'test/ok'], /^Say when: --cron/],
    [['add', 'x', 'test/ok', '--every', '1ms'], /^--every is "1ms"; allowed are durations from 1s to 366d\.$/],
    [['add', 'x', 'test/ok', '--every', '5m', '--cron', '@daily'], /^Both --cron and --every are given/],
    [['add', 'x', 'test/ok', '--every', '5m', '--zone', 'UTC'], /^--zone is about the clock of a cron text/],
    [['add', 'x', 'test/ok', '--cron', '61 * * * *'], /^The cron text "61 \* \* \* \*" has "61" as its minute/],
    [['add', 'x', 'test/ok', '--cron', '@daily', '--zone', 'Berlin'], /^There is no time zone "Berlin"; did you mean Europe\/Berlin\?$/],
    [['add', '7', 'test/ok', '--every', '5m'], /^The name of the schedule is "7"; allowed are/],
    [['add', 'x', 'test/ok', '--every', '5m', '--missed', 'maybe'], /Allowed choices are once, all, skip/],
    [['add', 'x', 'test/ok', '--every', '5m', '--overlap', 'maybe'], /Allowed choices are allow, skip/],
    [['add', 'x', 'test/ok', '--every', '5m', '--on-conflict', 'reject', '--unique', 'k'], /Allowed choices are keep, replace, keepLast/],
    [['add', 'x', 'test/ok', '--every', '5m', '--on-conflict', 'keep'], /^--on-conflict is about a unique key/],
    [['add', 'x', 'test/ok', '{', '--every', '5m'], /^The params are not JSON/],
    [['pause', ''], /^The name of the schedule is ""/],
    [['next', ''], /^The cron text is empty/],
    [['next', '@never'], /^The cron text "@never" is no nickname/],
    [['next', '@daily', '--count', '0'], /^--count is "0"/],
  ],
  command: [
    [[''], /^The name of the command is empty; .* command list shows which there are\.$/],
    [['list', 'x=1'], /^command list shows which there are and takes no values; "x=1" is too much\.$/],
    [['deploy', 'environment'], /^"environment" is no value; write it as name=value/],
    [['deploy', '=x'], /^"=x" is no value/],
    [['deploy', 'environment=staging', 'environment=staging'], /^environment is given twice/],
  ],
  user: [
    [['add', ''], /^The user name is ""; allowed are/],
    [['add', 'a b'], /^The user name is "a b"; allowed are 1 to 64 of a-z/],
  ],
  token: [
    [['create', 'x'], /^Required option '--scope <scope>' not specified/],
    [['create', '', '--scope', 'task:read'], /^name is 0 characters long/],
    [['create', 'x', '--scope', 'task:write'], /^The scope "task:write" does not exist/],
    [['create', 'x', '--scope', 'task:add:*'], /would cover every action/],
    [['create', 'x', '--scope', 'task:read,task:control'], /give it once for each: --scope task:read --scope task:control$/],
    [['create', 'x', '--scope', 'task:read', '--expires', '0'], /^--expires is "0"; allowed are durations from 1m to 3650d, or never\.$/],
    [['create', 'x', '--scope', 'task:read', '--expires', 'soon'], /, or never\.$/],
    [['revoke', 'x'], /^The id of the token is "x"; allowed are whole numbers/],
  ],
}

test('what is typed wrongly is told in words of the command line, and nothing is done', () => {
  const tries = Object.entries(misuses).flatMap(([command, all]) =>
    all.map(([args, sentence]) => ({ args: [command.trim(), ...args], sentence })),
  )
  const before = stored()
  const ended = typeAll(tries.map(({ args }) => args))
  assert.equal(ended.length, tries.length)
  for (const [index, { args, sentence }] of tries.entries()) {
    const { code, said } = ended[index]!
    const what = args.join(' ').slice(0, 100)
    assert.equal(code, exitCodes.usage, `${what}: ${said}`)
    assert.match(said, sentence, what)
    assert.doesNotMatch(said, /\b(?:delayMs|runAt|timeoutMs|graceMs|everyMs|onConflict|timeZone|lifeMs)\b/, what)
  }
  assert.deepEqual(stored(), before)
})

test('command alone lists what there is, and an unknown one is told which there is', () => {
  const [alone, listed, unknown, other] = typeAll([['command'], ['command', 'list'], ['command', 'depoly'], ['command', 'zzzzzzzz']])
  assert.equal(alone!.code, exitCodes.done)
  assert.match(alone!.said, /^name .*\n.*\ndeploy /)
  assert.deepEqual(alone, listed)
  assert.deepEqual([unknown!.code, unknown!.said], [exitCodes.failed, 'There is no command "depoly"; did you mean deploy?'])
  assert.equal(other!.said, 'There is no command "zzzzzzzz". There is only deploy.')
})

const typeAll = (all: string[][]): Typed[] => {
  const [from, to] = [join(runtime, 'typed.json'), join(runtime, 'ended.json')]
  writeFileSync(from, JSON.stringify(all))
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'type-all.ts'), from, to], { env, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return JSON.parse(readFileSync(to, 'utf8')) as Typed[]
}

/** How many rows there are of what these commands make. */
const stored = (): unknown => {
  using database = new DatabaseSync(join(runtime, 'bgtask.sqlite'), { readOnly: true })
  const tables = ['bg_task', 'bg_schedule', 'bg_token', 'bg_audit']
  return tables.map(table => database.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n)
}
