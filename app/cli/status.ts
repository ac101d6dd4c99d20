import { existsSync } from 'node:fs'
import { type LoopStatus, loopStatus } from '../api/loop-status.ts'
import { type Config, loadConfig } from '../config.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { isSilent } from '../runs/supervisor-file.ts'
import { type Db, openDatabase } from '../store/database.ts'
import { lastEndedOf } from '../store/list-runs.ts'
import type { BadEnds } from '../task/bad-ends.ts'
import { isOnProbe } from '../task/explain.ts'
import type { Run } from '../task/run.ts'
import type { Task, TaskState } from '../task/task.ts'
import { keepEndingBadly } from '../web/keep-ending-badly.ts'
import { createExplainer } from './explained.ts'
import { duration, formatTime, print, printJson } from './print.ts'
import { formatTable } from './table.ts'

/** Exit code 0 when the loop runs, 1 when it does not. */
export const runStatus = async ({ json }: { json?: boolean }): Promise<number> => {
  const config = await loadConfig()
  const db = await openOrWhyNot(config)
  try {
    const status = await loopStatus(config, db)
    if (json) printJson(status)
    else print(screen(config, status, await pastOf(db, status)))
    return status.supervisor ? exitCodes.done : exitCodes.failed
  } finally {
    if (!(db instanceof Error)) await db.close()
  }
}

// A look must not make a database, and has something to tell also without one.
const openOrWhyNot = async ({ databaseUrl }: Config): Promise<Db | Error> => {
  const path = databaseUrl.startsWith('sqlite:') ? databaseUrl.slice('sqlite:'.length) : null
  if (path !== null && !existsSync(path)) return new Error('it is not there yet; the first start makes it')
  try {
    return await openDatabase(databaseUrl)
  } catch (error) {
    if (error instanceof BgtaskError) return error
    throw error
  }
}

const shownLoops = 30

/** Those that need somebody first. */
const shownOf = ({ loops }: LoopStatus, badEnds: Past['badEnds']): Task[] =>
  [...(loops ?? [])].sort((a, b) => urgency(b, badEnds) - urgency(a, badEnds) || a.id - b.id).slice(0, shownLoops)

/** By the ids of loops. */
interface Past {
  shown: Task[]
  /** How each of these ended last, of those that have. */
  lastRuns: ReadonlyMap<number, Run>
  badEnds: ReadonlyMap<number, BadEnds>
}

const pastOf = async (db: Db | Error, status: LoopStatus): Promise<Past> => {
  const unknown: Omit<Past, 'shown'> = { lastRuns: new Map(), badEnds: new Map() }
  const asFarAsKnown = { shown: shownOf(status, unknown.badEnds), ...unknown }
  if (db instanceof Error) return asFarAsKnown
  try {
    const badEnds = await keepEndingBadly(db, status.loops ?? [])
    const shown = shownOf(status, badEnds)
    return { shown, lastRuns: await lastEndedOf(db, shown), badEnds }
  } catch {
    return asFarAsKnown // the database has gone away just now
  }
}

const screen = (config: Config, status: LoopStatus, past: Past): string =>
  [
    `supervisor  ${supervisorLine(status)}`,
    ...(status.hold ? [`hold        by ${status.hold.by} since ${formatTime(status.hold.at)}; start releases it`] : []),
    ...(status.stop && status.supervisor ? [`stopping    asked by ${status.stop.by}`] : []),
    `database    ${databaseLine(status)}`,
    `tasks       ${countsLine(status)}`,
    ...residentLines(status),
    ...loops(config, status, past),
  ].join('\n')

const supervisorLine = ({ supervisor, hold }: LoopStatus) => {
  if (!supervisor) return `does not run${hold ? '' : `; start it with: ${ourCommand} start`}`
  const now = Date.now()
  return [
    `${supervisor.phase}, process ${supervisor.pid}, since ${formatTime(supervisor.startedAt)} (${duration(Date.now() - supervisor.startedAt)})`,
    `version ${supervisor.version}, epoch ${supervisor.epoch}`,
    ...(supervisor.unrecorded > 0 ? [`${supervisor.unrecorded} ended runs not recorded yet`] : []),
    ...(isSilent(supervisor, now) ? [`silent for ${duration(now - supervisor.tickAt)}: it may hang or be stopped; see check`] : []),
  ].join('\n            ')
}

const databaseLine = ({ database, supervisor }: LoopStatus) => {
  if (database.away !== null) return `${database.url}: AWAY. ${database.away}`
  const since = supervisor?.databaseAwaySince
  return since ? `${database.url}; the supervisor has not reached it since ${formatTime(since)}` : database.url
}

const countsLine = ({ counts }: LoopStatus) => {
  if (!counts) return 'not known while the database is away'
  const states: TaskState[] = ['waiting', 'running', 'failed']
  return states.map(state => `${counts[state] > 10_000 ? 'over 10,000' : counts[state].toLocaleString('en')} ${state}`).join(', ')
}

const loops = (config: Config, status: LoopStatus, { shown, lastRuns, badEnds }: Past): string[] => {
  const { loops } = status
  if (!loops) return []
  if (loops.length === 0) return ['loops       none']
  const explain = createExplainer(config)
  const table = formatTable(
    [
      { title: 'id', value: (task: Task) => String(task.id), right: true },
      { title: 'loop', value: (task: Task) => task.action, flexible: true },
      { title: 'state', value: (task: Task) => explain(task).state },
      {
        title: 'why',
        value: (task: Task) => {
          const { why, end } = explain(task, lastRuns.get(task.id), badEnds.get(task.id))
          return [why, end].filter(Boolean).join(' ')
        },
        flexible: true,
      },
    ],
    shown,
  )
  return ['', table, ...(loops.length > shownLoops ? [`and ${loops.length - shownLoops} more; records shows all`] : [])]
}

const residentLines = ({ supervisor }: LoopStatus): string[] => {
  const residents = supervisor?.residents ?? []
  if (residents.length === 0) return []
  const told = residents
    .slice(0, 10)
    .map(
      one =>
        `${one.action} (process ${one.pid}) holds ${one.held}${one.blockedSince === null ? '' : `, BLOCKED since ${formatTime(one.blockedSince)}`}`,
    )
  return [`residents   ${residents.length}: ${told.join('; ')}${residents.length > told.length ? ' …' : ''}`]
}

const urgency = (task: Task, badEnds: Past['badEnds']) =>
  (badEnds.has(task.id) || isOnProbe(task, Date.now())) && (task.state === 'running' || task.state === 'starting')
    ? states.indexOf('backing-off')
    : states.indexOf(task.state)
const states: TaskState[] = ['stopped', 'running', 'stopping', 'starting', 'backing-off', 'stalled', 'tripped']
