import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompiledQuery } from 'kysely'
import { openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { launcher } from '../../app/paths.ts'
import { readStat } from '../../app/runs/process-identity.ts'
import { openDatabase } from '../../app/store/database.ts'
import { freePort } from '../../test/helpers/free-port.ts'
import { startMariaDb } from '../../test/helpers/mariadb.ts'
import { mariadbMissing } from '../../test/helpers/tools.ts'
import { type Figure, makeFigure } from './figure.ts'
import { type History, seedHistory } from './seed-history.ts'
import { percentile } from './statistics.ts'
import { until } from './until.ts'

const password = 'a lantern over the harbour'
const most = 60
const warmUps = 10
const looks = 100

/**
 * How long the server takes for each page when there is a long history: BGTASK_BENCH_RUNS runs, default ten million, on SQLite and MariaDB. It takes
 * some ten minutes and 10 GB of the temporary folder on each.
 */
export const measure = async (): Promise<Figure[]> => {
  const runs = Number(process.env.BGTASK_BENCH_RUNS ?? 10_000_000)
  const only = process.env.BGTASK_BENCH_DATABASE
  const figures: Figure[] = []
  if (only !== 'MariaDB') figures.push(...(await on('SQLite', runs)))
  if (only === 'SQLite' || mariadbMissing()) return figures
  const fast = [
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-buffer-pool-size=2G',
    '--innodb-log-file-size=1G',
    '--skip-innodb-doublewrite',
    '--innodb-max-dirty-pages-pct=0',
    '--innodb-io-capacity=10000',
  ]
  const server = await startMariaDb({ arguments: fast })
  try {
    figures.push(...(await on('MariaDB', runs, await server.newDatabase())))
  } finally {
    await server.stop()
  }
  return figures
}

const on = async (database: string, runs: number, databaseUrl?: string): Promise<Figure[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-bench-'))
  const clean = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', clean)
  try {
    const runtime = join(folder, 'runtime')
    const env = {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME ?? '/', BGTASK_RUNTIME: runtime, BGTASK_AUTOSTART: 'off' },
      ...{ BGTASK_ADMIN_PASSWORD: password, PORT: String(await freePort()) },
      ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}),
    }
    const config = await loadConfig(env)
    const background = await openBackground(config)
    await background.close()
    const beganAt = performance.now()
    const history = await seedHistory(config.databaseUrl, runs, what =>
      console.error(`${database}, ${((performance.now() - beganAt) / 1_000).toFixed(0)} s: ${what}`),
    )
    const seededS = (performance.now() - beganAt) / 1_000
    if (databaseUrl) await settled(databaseUrl)
    const size = databaseUrl ? '' : `, ${(statSync(config.databaseUrl.slice('sqlite:'.length)).size / 1e9).toFixed(1)} GB`
    const seeded = `${history.runs.toLocaleString('en')} runs and ${history.tasks.toLocaleString('en')} tasks, made in ${seededS.toFixed(0)} s${size}`
    return await timePages(database, env, history, seeded)
  } finally {
    process.off('exit', clean)
    clean()
  }
}

/** What the seeding left to be written is on the disk: a database whose history grew in years has no gigabytes of it to write. */
const settled = async (url: string): Promise<void> => {
  const db = await openDatabase(url)
  const dirty = CompiledQuery.raw("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
  const isClean = async () => Number((await db.kysely.executeQuery<{ Value: string }>(dirty)).rows[0]!.Value) < 100
  try {
    await until('the pages of the seeding are written', isClean, { everyMs: 500, withinMs: 600_000 })
  } finally {
    await db.close()
  }
}

const timePages = async (database: string, env: NodeJS.ProcessEnv, history: History, seeded: string): Promise<Figure[]> => {
  const child = spawn(process.execPath, [launcher, 'serve'], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  try {
    const origin = `http://127.0.0.1:${env.PORT}`
    await until('the panel answers', async () => (await fetch(`${origin}/healthz/live`).catch(() => null))?.ok, { everyMs: 50 })
    const cookie = await signIn(origin)
    const figures: Figure[] = []
    for (const [name, pathOf] of Object.entries(pages(history))) {
      const times: number[] = []
      let bytes = 0
      let ticks = 0
      const refused = new Set<number>()
      for (let look = 0; look < warmUps + looks; look++) {
        if (look === warmUps) ticks = readStat(child.pid!)!.cpuTicks
        const from = performance.now()
        const answer = await fetch(origin + pathOf(look), { headers: { cookie, 'sec-fetch-site': 'same-origin' }, redirect: 'manual' })
        bytes = (await answer.arrayBuffer()).byteLength
        if (answer.status !== 200) refused.add(answer.status)
        if (look >= warmUps) times.push(performance.now() - from)
      }
      // Beside others on the machine that is what can be told of the server itself; its clock ticks a hundred times a second.
      const cpuMs = ((readStat(child.pid!)!.cpuTicks - ticks) * 10) / looks
      const note = `${cpuMs.toFixed(1)} ms of CPU a page, p50 ${percentile(times, 50).toFixed(1)} ms, longest ${Math.max(...times).toFixed(0)} ms, ${(bytes / 1_000).toFixed(0)} kB; load ${loadavg()[0]!.toFixed(1)}; ${seeded}`
      console.error(`${database}: ${name}: p95 ${percentile(times, 95).toFixed(1)} ms, ${note}`)
      figures.push(
        makeFigure({
          figure: `${name}, p95, ${database}`,
          unit: 'ms',
          ours: percentile(times, 95),
          limit: null,
          aim: { of: 'ours', atMost: most },
          doubt: refused.size > 0 ? `it answered ${[...refused].join(', ')}` : null,
          note,
        }),
      )
    }
    return figures
  } finally {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  }
}

const signIn = async (origin: string): Promise<string> => {
  const form = await fetch(`${origin}/admin/login`)
  const token = /name="_csrf" value="([^"]*)"/.exec(await form.text())![1]!
  const cookies = (answer: Response) => answer.headers.getSetCookie().map(text => text.split(';')[0]!)
  const before = cookies(form)
  const answer = await fetch(`${origin}/admin/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: before.join('; '), origin, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ _csrf: token, name: 'admin', password }),
  })
  if (answer.status !== 303) throw new Error(`The login answers ${answer.status}.`)
  // The session is another one then, under the same name.
  return [...new Map([...before, ...cookies(answer)].map(text => [text.split('=')[0], text])).values()].join('; ')
}

/** Every page that reads the history, each in the ways in which it is asked for. What comes `n`th is another one each time. */
const pages = ({ first, last, loops }: History): Record<string, (n: number) => string> => {
  const one = (n: number) => first + Math.floor(((n * 7919) % 997) * ((last - first) / 997))
  const list = (query: string) => (n: number) =>
    `/admin/core/bgtask?${query}${query === '' ? '' : '&'}${n % 2 === 0 ? '' : `after=${one(n)}`}`
  const errorKey = (n: number) => String(2_985 - (n % 10)).padStart(32, '0')
  return {
    overview: () => '/admin',
    loops: () => '/admin/core/bgtask?exec_type=FOREVER',
    'loops, second page': n => `/admin/core/bgtask?exec_type=FOREVER&after=${loops - (n % 50)}`,
    'loops, searched': () => '/admin/core/bgtask?exec_type=FOREVER&text=nowhere',
    'loops that are tripped': () => '/admin/core/bgtask?exec_type=FOREVER&state=tripped',
    'tasks, newest and deep': list(''),
    'tasks, upwards': n => `/admin/core/bgtask?before=${one(n)}`,
    ...Object.fromEntries(
      ['waiting', 'running', 'succeeded', 'failed', 'cancelled'].map(state => [`tasks ${state}, newest and deep`, list(`state=${state}`)]),
    ),
    'tasks, once': list('exec_type=ONCE'),
    'tasks of a type': n => list(`type=type${n % 7}`)(n),
    'tasks of an action': n => list(`action=shop/export${n % 20}`)(n),
    'tasks of a creator': n => list(`creator=creator${n % 50}`)(n),
    'tasks of a unique key': n => `/admin/core/bgtask?unique=key${n}`,
    'tasks of an error': n => list(`state=failed&error=${errorKey(n)}`)(n),
    'tasks of a schedule': n => list('schedule=1')(n),
    'tasks failed of an action': n => list(`state=failed&action=shop/export${n % 20}`)(n),
    'tasks of type and creator': n => list(`type=type${n % 7}&creator=creator${n % 50}`)(n),
    'tasks of type and action that never meet': () => '/admin/core/bgtask?type=mail&action=shop/export1',
    'tasks, a text that many have': list('text=customer'),
    'tasks, a text that nobody has': () => '/admin/core/bgtask?text=nowhere',
    'tasks failed, a text that nobody has': () => '/admin/core/bgtask?state=failed&text=nowhere',
    'tasks of an action, a text that nobody has': () => '/admin/core/bgtask?action=shop/export1&text=nowhere',
    'a task': n => `/admin/core/bgtask/${one(n)}`,
    'a loop': n => `/admin/core/bgtask/${(n % loops) + 1}`,
    'a loop, older lives': n => `/admin/core/bgtask/${(n % loops) + 1}?before=${2_000 - n}`,
    'a loop, 7 days': n => `/admin/core/bgtask/${(n % loops) + 1}?span=7d`,
    failed: () => '/admin/core/bgtask/failed',
    'failed of an action': n => `/admin/core/bgtask/failed?action=shop/export${n % 20}`,
    'preview: retry all that failed': () => '/admin/core/bgtask/recovery?do=retry',
    'preview: retry one error': n => `/admin/core/bgtask/recovery?do=retry&error=${errorKey(n)}`,
    'preview: stop loops': () => '/admin/core/bgtask/bulk?do=stop',
    'preview: cancel what waits': () => '/admin/core/bgtask/bulk?do=cancellation',
    'preview: run what waits': () => '/admin/core/bgtask/bulk?do=run',
    'preview: delete what has ended': () => '/admin/core/bgtask/bulk?do=deletion',
    'preview: delete what one made': n => `/admin/core/bgtask/bulk?do=deletion&creator=creator${n % 50}`,
    schedules: () => '/admin/config/schedules',
    audit: () => '/admin/reports/audit',
    'audit of a user': n => `/admin/reports/audit?user=user${n % 50}`,
    'audit of an act': n => `/admin/reports/audit?act=act${n % 20}`,
    'audit of a time': () => `/admin/reports/audit?from=2020-01-01&to=${new Date(Date.now() - 10 * 86_400_000).toISOString().slice(0, 10)}`,
    cron: () => '/admin/config/system/cron',
    users: () => '/admin/config/users',
    tokens: () => '/admin/config/tokens',
    status: () => '/admin/reports/status',
    'new task': n => `/admin/core/bgtask/new?like=${one(n)}`,
    metrics: () => '/metrics',
  }
}
