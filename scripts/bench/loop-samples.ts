import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompiledQuery } from 'kysely'
import { identify } from '../../app/runs/process-identity.ts'
import { runPaths } from '../../app/runs/runtime-folder.ts'
import type { Ticket } from '../../app/runs/ticket.ts'
import { type Db, openDatabase } from '../../app/store/database.ts'
import { migrate } from '../../app/store/migrate.ts'
import { Child } from '../../app/supervisor/child.ts'
import { Sampler } from '../../app/supervisor/sampler.ts'
import { noteDuration } from '../../app/task/durations.ts'
import { startMariaDb } from '../../test/helpers/mariadb.ts'
import { mariadbMissing } from '../../test/helpers/tools.ts'
import { type Figure, makeFigure } from './figure.ts'

const loops = 200
const days = 3
const minuteMs = 60_000
const minutesADay = 24 * 60

/**
 * What the samples of 200 loops cost: the sampler's CPU time for each minute, as it reads 200 real run folders and writes to the database, and what a
 * day adds to it. The days are not waited for: each minute is told to be the next one.
 */
export const measure = async (): Promise<Figure[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-bench-samples-'))
  try {
    const figures = await measureOn('SQLite', `sqlite:${join(folder, 'samples.sqlite')}`, join(folder, 'sqlite'))
    if (mariadbMissing()) return figures
    const server = await startMariaDb({ arguments: ['--innodb-flush-log-at-trx-commit=1'] })
    try {
      return [...figures, ...(await measureOn('MariaDB', await server.newDatabase(), join(folder, 'mariadb')))]
    } finally {
      await server.stop()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const measureOn = async (name: string, url: string, runs: string): Promise<Figure[]> => {
  const db = await openDatabase(url)
  try {
    await migrate(db)
    const children = Array.from({ length: loops }, (_, index) => adoptedLoop(runs, index + 1))
    const sampler = new Sampler(
      () => children,
      sentence => {
        throw new Error(sentence)
      },
    )
    const ids = children.map(({ ticket }) => ticket.taskId)
    const beginning = Math.floor(Date.now() / 86_400_000) * 86_400_000
    const sizes: number[] = []
    let cpuMs = 0
    for (let minute = 1; minute <= days * minutesADay; minute++) {
      const now = beginning + minute * minuteMs + 1_500
      for (const { folder } of children) writeMinute(folder, now - 1_500 - minuteMs)
      const before = process.cpuUsage()
      sampler.gather(now)
      await sampler.flush(db, now, ids)
      const { user, system } = process.cpuUsage(before)
      cpuMs += (user + system) / 1_000
      if (minute % minutesADay === 0) sizes.push(await sizeOf(db, url))
    }
    for (const child of children) child.letGo()
    const dayMb = (sizes.at(-1)! - sizes.at(-2)!) / 1e6
    return [
      makeFigure({
        figure: `samples of ${loops} loops: CPU, ${name}`,
        unit: '%',
        ours: (cpuMs / (days * minutesADay) / minuteMs) * 100,
        limit: null,
        aim: { of: 'ours', atMost: 1 },
        note: `of one core: ${(cpuMs / (days * minutesADay)).toFixed(1)} ms for each minute, the roll-up and its pruning included`,
      }),
      makeFigure({
        figure: `samples of ${loops} loops: database a day, ${name}`,
        unit: 'MB',
        ours: dayMb,
        limit: null,
        aim: { of: 'ours', atMost: 10 },
        note: `the third day, when minutes and tens of minutes are replaced; the days before took ${megabytes([sizes[0]!, sizes[1]! - sizes[0]!])} MB`,
      }),
    ]
  } finally {
    await db.close()
  }
}

const megabytes = (sizes: readonly number[]) => sizes.map(size => (size / 1e6).toFixed(1)).join(' and ')

/** A run of a loop as it lies on the disk; its process is this one. */
const adoptedLoop = (runs: string, taskId: number): Child => {
  const folder = join(runs, `${taskId}-1`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(runPaths(folder).output, 'one line\n')
  return Child.adopt({ taskId, number: 1, graceMs: 0 } as Ticket, folder, identify(process.pid)!, {
    ready: () => {},
    end: () => {},
    trouble: sentence => {
      throw new Error(sentence)
    },
  })
}

/** An iteration each five seconds, which takes 5 to 500 ms. */
const writeMinute = (folder: string, at: number) => {
  const durations = {}
  for (let iteration = 0; iteration < 12; iteration++) noteDuration(durations, 5 * 100 ** Math.random())
  writeFileSync(runPaths(folder).beat, JSON.stringify({ minutes: [{ at, iterations: 12, errors: 0, durations }] }))
}

/** Bytes of the table of samples, as far as the database tells them apart. */
const sizeOf = async (db: Db, url: string): Promise<number> => {
  if (db.dialect === 'sqlite') {
    await db.kysely.executeQuery(CompiledQuery.raw('PRAGMA wal_checkpoint(TRUNCATE)'))
    return statSync(url.slice('sqlite:'.length)).size
  }
  await db.kysely.executeQuery(CompiledQuery.raw('ANALYZE TABLE bg_sample'))
  const { rows } = await db.kysely.executeQuery<{ bytes: number }>(
    CompiledQuery.raw(
      `SELECT DATA_LENGTH + INDEX_LENGTH AS bytes FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'bg_sample'`,
    ),
  )
  return Number(rows[0]!.bytes)
}
