import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readSupervisor } from '../../app/runs/supervisor-file.ts'
import { startMariaDb } from '../../test/helpers/mariadb.ts'
import { mariadbMissing } from '../../test/helpers/tools.ts'
import { cpuTimeMs } from './cpu-time.ts'
import { type Figure, makeFigure } from './figure.ts'
import { flushTimeMs } from './flush-time.ts'
import { measurePeers } from './peers.ts'
import { benchActions, openStage, type Stage } from './stage.ts'
import { median, percentile, spread } from './statistics.ts'
import { until } from './until.ts'

const tasksARound = Number(process.env.BGTASK_BENCH_TASKS ?? 20_000)
const rounds = 3
const samples = 200
/** The servers of tests have a log of 32 MB, which 5,000 tasks fill: then pages are written out over and over. PostgreSQL's may grow to 1 GB unasked. */
const serverOptions = ['--innodb-flush-log-at-trx-commit=1', '--innodb-buffer-pool-size=512M', '--innodb-log-file-size=512M']

/**
 * ONCE tasks that do nothing in a resident runner, concurrency 100: how many a second are added, and how many run from the first claim to the last
 * end in the database, with each commit flushed to disk; and how long one takes from before addTask to its first line, with nothing else under
 * way. Beside them other queues, if they are asked for (peers.ts).
 */
export const measure = async (): Promise<Figure[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-bench-peers-'))
  try {
    const ours = [await measureOn('SQLite')]
    if (!mariadbMissing()) {
      const server = await startMariaDb({ arguments: serverOptions })
      try {
        ours.push(await measureOn('MariaDB', await server.newDatabase()))
      } finally {
        await server.stop()
      }
    }
    const peers = await measurePeers(folder, tasksARound, samples)
    return ours.flatMap(one => figuresOf(one, peers))
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

type Measured = Awaited<ReturnType<typeof measureOn>>

const figuresOf = (
  { name, adds, rates, cpuUs, residentUs, latencies, flushMs }: Measured,
  peers: Awaited<ReturnType<typeof measurePeers>>,
): Figure[] => {
  const share = name === 'SQLite' ? 1 : 0.5
  const beside = peers.length ? peers : [null]
  return beside.flatMap(peer => {
    const title = (what: string) => `${what}, ${name}`
    const limit = (value: number | undefined) => (peer && value !== undefined ? { is: peer.name, value } : null)
    return [
      makeFigure({
        figure: title('resident: tasks added by the 1,000'),
        unit: '/s',
        ours: median(adds),
        limit: limit(peer?.addPerSecond),
        note: spread(adds),
      }),
      makeFigure({
        figure: title('resident: tasks run'),
        unit: '/s',
        ours: median(rates),
        limit: limit(peer?.processPerSecond),
        ...(peer ? { aim: { of: 'ratio' as const, atLeast: share } } : {}),
        note: `${spread(rates)} of ${tasksARound}; CPU time for each: supervisor ${cpuUs.toFixed(0)} µs, resident ${residentUs.toFixed(0)} µs`,
      }),
      ...[50, 99].map(percent =>
        makeFigure({
          figure: title(`resident: addTask to first line, p${percent}`),
          unit: 'ms',
          ours: percentile(latencies, percent),
          limit: limit(peer ? percentile(peer.latencies, percent) : undefined),
          note: `${samples}, one at a time; each waits for two commits, and a flush of this disk takes ${flushMs.toFixed(2)} ms (p50)`,
        }),
      ),
    ]
  })
}

const measureOn = async (name: string, databaseUrl?: string) => {
  await using stage = await openStage({ actions: benchActions, ...(databaseUrl ? { databaseUrl } : {}) })
  const adds: number[] = []
  const rates: number[] = []
  const cpus: number[] = []
  const residentCpus: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const beganAt = performance.now()
    for (let left = tasksARound; left > 0; left -= 1_000)
      await stage.background.addTasks(Array.from({ length: Math.min(left, 1_000) }, () => ({ action: 'bench/resident' })))
    const added = tasksARound / ((performance.now() - beganAt) / 1000)
    const since = Date.now()
    const { pid } = await stage.supervise()
    const before = cpuTimeMs(pid).own
    await until('all tasks have ended', async () => (await unfinished(stage)) === false, { everyMs: 100, withinMs: 300_000 })
    const cpuUs = ((cpuTimeMs(pid).own - before) * 1000) / tasksARound
    const residents = readSupervisor(stage.runtime)?.residents ?? []
    const residentUs = (residents.reduce((sum, resident) => sum + cpuTimeMs(resident.pid).own, 0) * 1000) / tasksARound
    const rate = await rateOf(stage, since)
    await stage.stopSupervisor()
    // The first round fills caches.
    if (round === 0) continue
    adds.push(added)
    rates.push(rate)
    cpus.push(cpuUs)
    residentCpus.push(residentUs)
  }
  return {
    name,
    adds,
    rates,
    cpuUs: median(cpus),
    residentUs: median(residentCpus),
    latencies: await latenciesOf(stage),
    flushMs: await flushTimeMs(stage.folder),
  }
}

/** One row tells, so that asking costs those who are measured nothing. */
const unfinished = async ({ background }: Stage): Promise<boolean> => {
  for (const state of ['waiting', 'running']) {
    if (await background.db.kysely.selectFrom('bg_task').select('id').where('state', '=', state).limit(1).executeTakeFirst()) return true
  }
  return false
}

/** From the first claim to the last end in the database, by what is written there. */
const rateOf = async ({ background }: Stage, since: number): Promise<number> => {
  const { first } = await background.db.kysely
    .selectFrom('bg_run')
    .select(({ fn }) => fn.min<number>('started_at').as('first'))
    .where('started_at', '>=', since)
    .executeTakeFirstOrThrow()
  const { last, succeeded } = await background.db.kysely
    .selectFrom('bg_task')
    .select(({ fn }) => [fn.max<number>('updated_at').as('last'), fn.countAll<number>().as('succeeded')])
    .where('state', '=', 'succeeded')
    .where('started_at', '>=', since)
    .executeTakeFirstOrThrow()
  if (Number(succeeded) !== tasksARound) throw new Error(`${succeeded} of ${tasksARound} tasks succeeded`)
  return tasksARound / ((Number(last) - Number(first)) / 1000)
}

const latenciesOf = async (stage: Stage): Promise<number[]> => {
  await stage.supervise()
  const witness = join(stage.folder, 'first-lines')
  const latencies: number[] = []
  for (let one = -5; one < samples; one++) {
    const beganAt = process.hrtime.bigint()
    await stage.background.addTask('bench/resident-first-line', { witness, name: String(one) })
    const line = await until('it has run', () => existsSync(witness) && lineOf(witness, one), { everyMs: 5 })
    if (one >= 0) latencies.push(Number(BigInt(line) - beganAt) / 1e6)
    await sleep(10)
  }
  await stage.stopSupervisor()
  return latencies
}

const lineOf = (path: string, name: number): string | undefined =>
  readFileSync(path, 'utf8')
    .split('\n')
    .find(line => line.startsWith(`${name} `))
    ?.split(' ')[1]
