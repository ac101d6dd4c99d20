import { sql } from 'kysely'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { LoopState, TaskState } from '../task/task.ts'
import { countTasks } from './count-tasks.ts'
import { type EndedState, endedEver } from './counters.ts'
import { readCron } from './cron.ts'
import { type CronPart, listParts } from './cron-parts.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { type Host, listHosts } from './hosts.ts'
import { firstDue } from './list-due.ts'
import { liveStates } from './list-loops.ts'
import { listRunCounts, type RunCount } from './run-counts.ts'
import { withRetries } from './transact.ts'

/** What is measured of the rows, of all hosts. Times are milliseconds since 1970. */
export interface MetricRows {
  /** Tasks and loops in each state; what is not final up to countCap. */
  counts: Record<TaskState, number>
  /** ONCE tasks that ever ended so; never less than before. */
  ended: Record<EndedState, number>
  /** Runs by action and outcome. */
  runs: RunCount[]
  firstDueAt: number | null
  /** Wanted up, or not yet down. */
  loops: LoopRow[]
  hosts: Host[]
  cron: { begunAt: number | null; parts: CronPart[] }
}

/** A loop without what people gave it. */
export interface LoopRow {
  id: number
  action: string
  state: LoopState
  wanted: 'up' | 'down'
  number: number
  host: string | null
  /** When its newest run began. */
  startedAt: number | null
  /** When it is started again, while it backs off or is tripped. */
  runAt: number
  /** When it last did what it should, known to the minute. */
  lastSuccessAt: number | null
  /** Of its newest run; null before it is known. */
  process: ProcessIdentity | null
}

/**
 * Read by index and from counters, so that it takes as long with a million tasks as with ten.
 * @param mostRunCounts so many pairs of action and outcome, of the first actions by name
 */
export const readMetricRows = async (db: Db, mostRunCounts: number): Promise<MetricRows> => {
  const [counts, ended, runs, firstDueAt, loops, hosts, cron, parts] = await Promise.all([
    countTasks(db),
    withRetries(() => endedEver(db.kysely)),
    listRunCounts(db, mostRunCounts),
    firstDue(db),
    listLoopRows(db),
    listHosts(db),
    readCron(db),
    listParts(db),
  ])
  return { counts, ended, runs, firstDueAt, loops, hosts, cron: { begunAt: cron.begunAt, parts } }
}

const listLoopRows = (db: Db): Promise<LoopRow[]> =>
  withRetries(async () => {
    const wantedUp = loopsFrom(db, 'bg_task_loop')
      .where('exec_type', '=', sql.lit('FOREVER'))
      .where('wanted', '=', 'up')
      .where('after_id', 'is', null)
    const goingDown = loopsFrom(db, 'bg_task_state')
      .where('state', 'in', liveStates)
      .where('exec_type', '=', 'FOREVER')
      .where('wanted', '=', 'down')
    const rows = [...(await wantedUp.execute()), ...(await goingDown.execute())]
    const byId = new Map(rows.map(row => [Number(row.id), row]))
    return [...byId.values()].sort((a, b) => Number(a.id) - Number(b.id)).map(toLoop)
  })

const loopsFrom = (db: Db, index: string) =>
  db.kysely
    .selectFrom(fromIndex(db, index))
    .leftJoin('bg_run', join => join.onRef('bg_run.task_id', '=', 'bg_task.id').onRef('bg_run.number', '=', 'bg_task.number'))
    .leftJoin('bg_loop_success', 'bg_loop_success.task_id', 'bg_task.id')
    .select(['id', 'action', 'state', 'wanted', 'bg_task.number', 'bg_task.host', 'bg_task.started_at', 'run_at'])
    .select(['pid', 'start_ticks', 'boot_id', 'bg_loop_success.at as success_at'])

type Row = Awaited<ReturnType<ReturnType<typeof loopsFrom>['execute']>>[number]

const toLoop = (row: Row): LoopRow => ({
  id: Number(row.id),
  action: row.action,
  state: row.state as LoopState,
  wanted: row.wanted === 'up' ? 'up' : 'down',
  number: Number(row.number),
  host: row.host,
  startedAt: row.started_at === null ? null : Number(row.started_at),
  runAt: Number(row.run_at),
  lastSuccessAt: row.success_at === null ? null : Number(row.success_at),
  process:
    row.pid === null || row.start_ticks === null || row.boot_id === null
      ? null
      : { pid: Number(row.pid), startTicks: Number(row.start_ticks), bootId: row.boot_id },
})
