import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../../config.ts'
import { type Beat, readBeat } from '../../runs/beat.ts'
import { diskSpace } from '../../runs/disk-space.ts'
import { readHold } from '../../runs/flags.ts'
import { hostId } from '../../runs/host-id.ts'
import { openRuns } from '../../runs/open-runs.ts'
import { isAlive, type ProcessIdentity } from '../../runs/process-identity.ts'
import { type ProcessUse, processUse } from '../../runs/process-use.ts'
import { runtimePaths } from '../../runs/runtime-folder.ts'
import { readSupervisor, type SupervisorInfo } from '../../runs/supervisor-file.ts'
import { readTicket } from '../../runs/ticket.ts'
import { type LoopRow, type MetricRows, readMetricRows } from '../../store/metric-rows.ts'
import { outcomeKinds } from '../../task/outcome.ts'
import { runName } from '../../task/run.ts'
import type { Panel } from '../panel.ts'

/** Everything that is measured. What comes of rows is of the whole database, what comes of files is of this host. Times are milliseconds since 1970. */
export interface Facts {
  now: number
  host: { id: string; hostname: string }
  /** null: the database is away, and the files alone tell. */
  rows: MetricRows | null
  /** How long the rows took. */
  answerMs: number | null
  dialect: string
  /** Of SQLite's files; null with a server. */
  databaseBytes: number | null
  disk: { freeBytes: number; sizeBytes: number } | null
  supervisor: { info: SupervisorInfo; use: ProcessUse | null } | null
  isHeld: boolean
  /** Names of those that lie in the folders now. */
  actions: readonly string[]
  /** The first ones by id. */
  loops: MeasuredLoop[]
  streams: number
}

/** A loop; what no row tells is null while the database is away. */
export interface MeasuredLoop {
  id: number
  action: string
  row: LoopRow | null
  /** Its live process on this host. */
  here: { startedAt: number | null; use: ProcessUse | null; beat: Beat | null } | null
}

/** More loops than this are counted, and not told one by one. */
export const mostLoops = 1_000
/** The same of actions. */
export const mostActions = 1_000
/** A database that does not answer for so long counts as away; a scrape is given up after some seconds. */
const rowsWithinMs = 3_000
/** Files that have just changed take a moment to be described; then those of which something ended are told. */
const actionsWithinMs = 500
/** So many loops are looked at before others get their turn. */
const atOnce = 50

export const readFacts = async ({
  config,
  background: { db, catalog },
  live,
}: Pick<Panel, 'config' | 'background' | 'live'>): Promise<Facts> => {
  const began = performance.now()
  const rows = await within(rowsWithinMs, readMetricRows(db, mostActions * outcomeKinds.length))
  const answerMs = rows && performance.now() - began
  const host = hostId(config.runtime)
  const info = readSupervisor(config.runtime)
  return {
    now: Date.now(),
    host: { id: host, hostname: hostname() },
    rows,
    answerMs,
    dialect: db.dialect,
    databaseBytes: databaseBytes(config),
    disk: diskOf(config.runtime),
    supervisor: info && { info, use: useOf(info) },
    actions: (rows && (await within(actionsWithinMs, catalog()))?.entries.map(({ name }) => name)) ?? [],
    isHeld: readHold(config.runtime) !== null,
    loops: rows ? await measureLoops(config, host, rows.loops.slice(0, mostLoops)) : loopsByFiles(config),
    streams: live.streams(),
  }
}

/** @returns null when it fails, or takes longer */
const within = async <T>(ms: number, work: Promise<T>): Promise<T | null> => {
  const giveUp = new AbortController()
  const waited = sleep(ms, null, { signal: giveUp.signal, ref: false }).catch(() => null)
  try {
    return await Promise.race([work.catch(() => null), waited])
  } finally {
    giveUp.abort()
  }
}

const measureLoops = async ({ runtime }: Config, host: string, rows: readonly LoopRow[]): Promise<MeasuredLoop[]> => {
  const measured: MeasuredLoop[] = []
  for (const row of rows) {
    const { id, action, number, process, startedAt } = row
    const isHere = row.host === host && process !== null && isAlive(process)
    measured.push({ id, action, row, here: isHere ? lookAt(runtime, { id, number, process, startedAt }) : null })
    if (measured.length % atOnce === 0) await new Promise<void>(resolve => setImmediate(resolve))
  }
  return measured
}

const loopsByFiles = ({ runtime }: Config): MeasuredLoop[] =>
  openRuns(runtime)
    .list()
    .sort((a, b) => a.taskId - b.taskId)
    .slice(0, mostLoops)
    .flatMap(({ name, taskId: id, number }) => {
      const ticket = readTicket(runtimePaths(runtime).run(name).folder)
      if (ticket?.execType !== 'FOREVER' || !ticket.process || !isAlive(ticket.process)) return []
      const { action, process, startedAt } = ticket
      return [{ id, action, row: null, here: lookAt(runtime, { id, number, process, startedAt }) }]
    })

const lookAt = (
  runtime: string,
  { id, number, process, startedAt }: { id: number; number: number; process: ProcessIdentity; startedAt: number | null },
) => ({ startedAt, use: useOf(process), beat: readBeat(runtimePaths(runtime).run(runName(id, number)).beat) })

/** null, too, when it cannot be looked at. */
const useOf = (process: ProcessIdentity): ProcessUse | null => {
  try {
    return processUse(process)
  } catch {
    return null
  }
}

const databaseBytes = ({ databaseUrl }: Config): number | null => {
  if (!databaseUrl.startsWith('sqlite:')) return null
  const path = databaseUrl.slice('sqlite:'.length)
  const sizes = [path, `${path}-wal`].map(file => statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

const diskOf = (folder: string) => {
  try {
    return diskSpace(folder)
  } catch {
    return null
  }
}
