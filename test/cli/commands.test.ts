import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Background, openBackground } from '../../app/api/background.ts'
import type { Finding } from '../../app/api/check.ts'
import type { LoopStatus } from '../../app/api/loop-status.ts'
import { findTask } from '../../app/store/find-task.ts'
import type { Task } from '../../app/task/task.ts'
import { databases, makeScene as make, type makeScene, plainAction, type Scene, strictAction, waitFor } from '../api/scene.ts'
import { begin, end, json, run, runWithInput } from './run.ts'

const slowAction = `export const execute = async ({ signal }: { signal: AbortSignal }) => {
  console.log('begun')
  await new Promise(resolve => { const t = setTimeout(resolve, 30_000); signal.addEventListener('abort', () => { clearTimeout(t); resolve(null) }) })
}
`
const printAction = `export const execute = async (ctx: { params: { lines: number } }) => {
  for (let n = 1; n <= ctx.params.lines; n++) { console.log('line ' + n); await new Promise(resolve => setTimeout(resolve, 20)) }
  return 'printed ' + ctx.params.lines
}
`
const failingAction = "export const execute = async () => { throw new Error('no such table: orders') }\n"

for (const database of databases) {
  describe(`commands on ${database.name}`, () => {
    const cleaners: (() => unknown)[] = []
    const t = { after: (fn: () => unknown) => void cleaners.unshift(fn) } as Parameters<typeof makeScene>[0]
    let scene: Scene
    const b = (...args: string[]) => run(scene.env, ...args)
    const add = async (...args: string[]) => json<Task & { added: boolean }>(await b('add', ...args, '--json'))

    before(async () => {
      const url = await database.url()
      const actions = {
        'test/plain': plainAction,
        'test/strict': strictAction,
        'test/slow': slowAction,
        'test/print': printAction,
        'test/fail': failingAction,
      }
      scene = await make(t, { actions, ...(url ? { databaseUrl: url } : {}) })
    })
    after(async () => {
      for (const clean of cleaners) await clean()
    })

    test('migrate, and again', async () => {
      assert.match((await b('migrate')).stdout, /^Applied to .*0001/)
      assert.match((await b('migrate')).stdout, /is up to date/)
      assert.deepEqual(json(await b('migrate', '--json')), { applied: [] })
    })

    test('add, with all options', async () => {
      const task = await add(
        'test/print',
        '{"lines": 3}',
        '--type',
        '导出',
        '--creator',
        'kim',
        '--unique',
        'one',
        '--in',
        '1h30m',
        '--priority',
        '-3',
        '--max-attempts',
        '2',
        '--timeout',
        '5m',
        '--grace',
        '0',
        '--no-rerun-after-crash',
      )
      assert.deepEqual(
        [
          task.params,
          task.type,
          task.creator,
          task.uniqueKey,
          task.priority,
          task.maxAttempts,
          task.timeoutMs,
          task.graceMs,
          task.rerunAfterCrash,
        ],
        [{ lines: 3 }, '导出', 'kim', 'one', -3, 2, 300_000, 0, false],
      )
      assert.ok(Math.abs(task.runAt - Date.now() - 5_400_000) < 60_000)
      const kept = await b('add', 'test/print', '--unique', 'one')
      assert.match(kept.stdout, /^Task 1 has the unique key already and is kept; nothing was added\.\n$/)
      assert.equal((await b('add', 'test/print', '--unique', 'one', '--on-conflict', 'reject')).code, 1)
      const fromStdin = await runWithInput(scene.env, '{"lines": 5}', 'add', 'test/print', '-', '--at', '2099-01-01T00:00:00Z', '--json')
      assert.deepEqual([json<Task>(fromStdin).params, json<Task>(fromStdin).runAt], [{ lines: 5 }, Date.UTC(2099, 0, 1)])
      assert.equal((await add('test/plain', '--forever')).execType, 'FOREVER')
    })

    test('what is wrong is one sentence on stderr, with its exit code', async () => {
      const tries: [string[], number, RegExp][] = [
        [['add', 'test/plian'], 1, /^There is no action "test\/plian"; did you mean test\/plain.*\n$/],
        [['add', 'test/strict', '{}'], 1, /^The params do not fit test\/strict: .*\n$/],
        [['add', 'test/plain', '{"a":'], 2, /^The params are not JSON \(.*\). An example: .*\n$/],
        [['add', 'test/plain', '{"a":12345678901234567890}'], 2, /^The params hold the number 12345678901234567890, which is too large/],
        [['add', 'test/plain', '--in', '5'], 2, /^--in is "5"; allowed are durations/],
        [['add', 'test/plain', '--at', 'tomorrow'], 2, /^--at is "tomorrow"; write date, time and zone/],
        [['add', 'test/plain', '--priority', 'high'], 2, /^--priority is "high"; allowed are whole numbers/],
        [['add', 'test/plain', '--priorty', '5'], 2, /^Unknown option '--priorty' \(Did you mean --priority\?\)\n$/],
        [['add'], 2, /^Missing required argument 'action'\. --help shows what there is\.\n$/],
        [['stats'], 2, /^Unknown command 'stats' \(Did you mean status\?\)\n$/],
        [['records', '--state', 'wating'], 2, /^--state is "wating"; allowed are waiting/],
        [['records', '--limit', '0'], 2, /^--limit is "0"/],
        [['show', '999999'], 1, /^Task 999999 does not exist\.\n$/],
        [['cancel', 'nonsense'], 2, /^There is no task "nonsense": one is named by its id, .* or by its uid/],
        [['output', '999999'], 1, /^Task 999999 does not exist\.\n$/],
        [['output', '1'], 1, /^Task 1 has not run yet/],
        [['test/plain', '999999'], 1, /^Task 999999 does not exist\.\n$/],
        [['test/nope', '1'], 1, /^There is no action "test\/nope".*\n$/],
        [['test/plain', '1'], 1, /^Task 1 is one of test\/print, not of test\/plain; run: node index\.js test\/print 1\n$/],
        [['test/plain'], 2, /^The task's id is missing\. A task is run by hand with: /],
      ]
      // What is refused before the database is asked is the same on each.
      const tried =
        database.name === 'SQLite'
          ? tries
          : tries.filter(([, , sentence]) => /does not exist|There is no task|has not run|Task 1 is/.test(sentence.source))
      assert.ok(tried.length >= 6)
      for (const [args, code, sentence] of tried) {
        const ended = await b(...args)
        assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stderr}`)
        assert.match(ended.stderr, sentence)
        assert.equal(ended.stdout, '')
      }
      const traced = await run({ ...scene.env, DEBUG: 'bgtask' }, 'show', '999999')
      assert.match(traced.stderr, /BgtaskError: Task 999999 does not exist\.\n\s+at /)
    })

    test('records: columns, filters, JSON', async () => {
      const { stdout } = await b('records')
      const [head, , first] = stdout.split('\n')
      assert.match(head!, /^\s*id\s+uid\s+action\s+type\s+state\s+params\s+content$/)
      assert.match(first!, /test\/plain\s+stopped\s+{}/)
      const waiting = json<Task[]>(await b('records', '--state', 'waiting,failed', '--action', 'test/print', '--type', '导出', '--json'))
      assert.deepEqual(
        waiting.map(task => task.id),
        [1],
      )
      assert.equal(json<Task[]>(await b('records', '--limit', '2', '--json')).length, 2)
      const none = await b('records', '--creator', 'nobody')
      assert.deepEqual([none.code, none.stdout, none.stderr], [0, '', 'No task is like that.\n'])
    })

    test('by hand and debug: output here, the state left alone', async () => {
      const { id, uid } = await add('test/print', '{"lines": 2}', '--in', '1d')
      const byHand = await b('test/print', String(id))
      assert.equal(byHand.code, 0, byHand.stderr)
      assert.equal(byHand.stdout, 'line 1\nline 2\n')
      const debug = await b('debug', uid)
      assert.match(debug.stderr, /exit code 0, took .*, memory up to .* MB, CPU /)
      const figures = json<{ exitCode: number; output: string; peakMemoryBytes: number; durationMs: number; timedOut: boolean }>(
        await b('debug', String(id), '--json'),
      )
      assert.deepEqual([figures.exitCode, figures.timedOut], [0, false])
      assert.match(figures.output, /line 1\nline 2\n/)
      assert.ok(figures.peakMemoryBytes > 10e6 && figures.durationMs > 40)
      const shown = json<Task & { runs: unknown[]; why: string }>(await b('show', String(id), '--json'))
      assert.deepEqual([shown.state, shown.number, shown.runs], ['waiting', 0, []])

      const failing = await add('test/fail', '--in', '1d')
      const failed = await b('test/fail', String(failing.id))
      assert.equal(failed.code, 1)
      assert.match(failed.stderr, /no such table: orders/)
      assert.equal((await b('debug', String(failing.id))).code, 1)
      const slow = await add('test/slow', '--in', '1d')
      const limited = await b('debug', String(slow.id), '--timeout', '1s')
      assert.equal(limited.code, 1)
      assert.match(limited.stderr, /stopped at the time limit/)

      const child = begin(scene.env, 'test/slow', String(slow.id))
      child.stdout.once('data', () => child.kill('SIGINT'))
      const interrupted = await end(child)
      assert.equal(interrupted.code, 0, interrupted.stderr)
    })

    test('the loop: start, run, follow, stop, hold', { timeout: 120_000 }, async () => {
      const down = await b('status')
      assert.equal(down.code, 1)
      assert.match(down.stdout, /^supervisor {2}does not run; start it with: node index\.js start\n/)
      assert.match((await b('start')).stdout, /^The supervisor runs \(process \d+\)\.\n$/)
      assert.equal((await b('start')).code, 75)
      const status = await b('status')
      assert.equal(status.code, 0)
      assert.match(
        status.stdout,
        /^supervisor {2}running, process \d+, since .*\n.*version .* epoch .*\n(?: +\d+ ended runs not recorded yet\n)?database .*\ntasks .* waiting, .* running, .* failed\n/,
      )
      assert.ok(!status.stdout.includes('****@') === (database.name === 'SQLite'))

      const { id } = await add('test/print', '{"lines": 40}')
      await waitFor('the run has begun', async () => (await taskOf(id)).number === 1)
      const followed = await b('output', String(id), '-f')
      assert.equal(followed.stdout, Array.from({ length: 40 }, (_, n) => `line ${n + 1}\n`).join(''))
      assert.equal((await b('output', String(id))).stdout, followed.stdout)
      await waitFor('the end is recorded', async () => (await taskOf(id)).state === 'succeeded')
      assert.match((await b('show', String(id))).stdout, /content +printed 40\n[\s\S]*run +outcome/)

      const failing = await add('test/fail')
      await waitFor('it failed', async () => (await taskOf(failing.id)).state === 'failed')
      assert.match((await b('show', String(failing.id))).stdout, /Error: no such table: orders\n\s+at /)
      assert.equal((await b('retry', String(failing.id))).code, 0)

      const slow = await add('test/slow')
      await waitFor('it runs', async () => (await taskOf(slow.id)).state === 'running')
      assert.match((await b('cancel', String(slow.id))).stdout, /is asked to stop/)
      await waitFor('it is cancelled', async () => (await taskOf(slow.id)).state === 'cancelled')
      assert.equal((await b('cancel', String(slow.id))).code, 75)

      const pid = json<LoopStatus>(await b('status', '--json')).supervisor!.pid
      assert.equal((await b('reload')).code, 0)
      assert.equal((await b('restart')).code, 0)
      assert.notEqual(json<LoopStatus>(await b('status', '--json')).supervisor!.pid, pid)
      const held = await b('stop', '--hold')
      assert.match(held.stdout, /^The supervisor has ended\. It stays down until start releases the hold\.\n$/)
      assert.match((await b('status')).stdout, /\nhold +by /)
      const supervise = await b('supervise')
      assert.equal(supervise.code, 75)
      assert.equal((await b('stop')).code, 0)
      assert.equal((await b('reload')).code, 1)
    })

    /** Without a process: what is asked for again and again is not asked on the command line. */
    const taskOf = async (id: number) => {
      if (!background) {
        const opened = await openBackground(scene.config, { migrate: false })
        cleaners.unshift(() => opened.close())
        background = opened
      }
      return (await findTask(background.db, id))!
    }
    let background: Background | undefined

    test('many starts at once leave one', { timeout: 120_000 }, async () => {
      const starts = await Promise.all(Array.from({ length: 8 }, () => b('start')))
      for (const { code, stderr } of starts) assert.ok(code === 0 || code === 75, stderr)
      const pids = new Set(starts.filter(start => start.code === 0).map(start => /process (\d+)/.exec(start.stdout)![1]))
      assert.equal(pids.size, 1)
      assert.equal((await b('stop')).code, 0)
    })

    test('users', async () => {
      const password = 'seven blue herons at dawn'
      assert.match((await b('user', 'list')).stdout, /no user yet/)
      assert.match(
        (await runWithInput(scene.env, `${password}\n`, 'user', 'add', 'kim', '--role', 'operator', '--password-stdin')).stdout,
        /User kim is added with role operator/,
      )
      const nina = await runWithInput(scene.env, `${password}\n`, 'user', 'add', 'nina', '--password-stdin')
      assert.match(nina.stdout, /role viewer/, 'no more than was said')
      const weak = await runWithInput(scene.env, 'short\n', 'user', 'add', 'lee', '--password-stdin')
      assert.deepEqual(
        [weak.code, weak.stderr],
        [1, 'The password has 5 characters; at least 12 are needed. A sentence is easy to remember.\n'],
      )
      assert.equal((await b('user', 'add', 'lee')).code, 2)
      // Before a password is asked for.
      assert.match((await b('user', 'add', '')).stderr, /^The user name is "";/)
      assert.equal((await runWithInput(scene.env, `${password}!`, 'user', 'passwd', 'kim', '--password-stdin')).code, 0)
      const users = json<Record<string, unknown>[]>(await b('user', 'list', '--json'))
      assert.deepEqual(
        users.map(user => [user.name, user.role]),
        [
          ['kim', 'operator'],
          ['nina', 'viewer'],
        ],
      )
      assert.ok(!JSON.stringify(users).includes('argon2'))
    })

    test('check: findings, effective values, no secret', async () => {
      const { code, stdout } = await run({ ...scene.env, BGTASK_ADMIN_PASSWORD: 'hunter2-hunter2' }, 'check')
      assert.equal(code, 0)
      assert.match(stdout, /^ok +runtime folder: /)
      assert.match(stdout, /BGTASK_ADMIN_PASSWORD +\(set\)/)
      assert.ok(!stdout.includes('hunter2'))
      const { findings } = json<{ findings: Finding[] }>(await b('check', '--json'))
      assert.ok(findings.length >= 8)
    })
  })
}

test('help: every command of the list, with its exit codes and examples', async t => {
  const { env } = await make(t)
  const { code, stdout } = await run(env, '--help')
  assert.equal(code, 0)
  for (const name of [
    'serve',
    'supervise',
    'start',
    'stop',
    'restart',
    'reload',
    'status',
    'add',
    'records',
    'show',
    'output',
    'cancel',
    'retry',
    'debug',
    'move',
    'edit',
    'failed',
    'command',
    'schedule',
    'cron',
    'check',
    'migrate',
    'user',
    'token',
  ]) {
    assert.match(stdout, new RegExp(`^  ${name} `, 'm'))
    assert.equal((await run(env, name, '--help')).code, 0)
  }
  assert.match(stdout, /Exit codes: 0 done, 1 failed, 2 usage, 75/)
  assert.equal((await run(env)).code, 2)
})

test('a reader that leaves early is no failure', async t => {
  const { env } = await make(t)
  const child = begin(env, '--help')
  child.stdout.destroy()
  const [code, stderr] = await Promise.all([new Promise(resolve => child.once('close', resolve)), child.stderr.toArray()])
  assert.deepEqual([code, Buffer.concat(stderr as Buffer[]).toString()], [0, ''])
})

test('status answers quickly', async t => {
  const { env } = await make(t)
  await run(env, 'migrate')
  const times: number[] = []
  for (let n = 0; n < 5; n++) {
    const began = performance.now()
    await run(env, 'status')
    times.push(performance.now() - began)
  }
  // 300 ms on a quiet machine; a busy one gets some room.
  assert.ok(Math.min(...times) < 600, `${times.map(Math.round)} ms`)
})

test('a wrong configuration: one sentence, exit 78', async t => {
  const { env } = await make(t)
  const wrong = await run({ ...env, PORT: 'many' }, 'status')
  assert.deepEqual([wrong.code, wrong.stderr], [78, 'PORT is "many"; it must be a whole number from 0 to 65535.\n'])
  const away = await run({ ...env, DATABASE_URL: 'mysql://kim:hunter2@127.0.0.1:1/x' }, 'records')
  assert.equal(away.code, 78)
  assert.match(away.stderr, /^The database mysql:\/\/kim:\*\*\*\*@127\.0\.0\.1:1\/x cannot be reached: nothing listens there\..*\n$/)
})
