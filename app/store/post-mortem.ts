import type { Run } from '../task/run.ts'
import type { StartFacts } from '../task/start-facts.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { findResidentStart } from './resident-starts.ts'
import { withRetries } from './transact.ts'

// What is read of the time before a run.

/** A run of long ago, without its texts. */
export type EarlierRun = Pick<Run, 'taskId' | 'number' | 'startedAt' | 'endedAt' | 'outcome'>

/** Ended runs of the task before this one, newest first. */
export const runsBefore = (db: Db, taskId: number, number: number, limit: number): Promise<EarlierRun[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_run')
      .select(['number', 'started_at', 'ended_at', 'outcome'])
      .where('task_id', '=', taskId)
      .where('number', '<', number)
      .where('outcome', 'is not', null)
      .orderBy('number', 'desc')
      .limit(limit)
      .execute()
    return rows.map(row => ({
      taskId,
      number: Number(row.number),
      startedAt: Number(row.started_at),
      endedAt: row.ended_at === null ? null : Number(row.ended_at),
      outcome: row.outcome as Run['outcome'],
    }))
  })

/** The newest of the ONCE tasks of this action that were added before that one and have succeeded. @returns its id and the number of its last run */
export const succeededBefore = (db: Db, action: string, taskId: number): Promise<{ id: number; number: number } | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_action'))
      .select(['id', 'number'])
      .where('action', '=', action)
      .where('state', '=', 'succeeded')
      .where('id', '<', taskId)
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst()
    return row ? { id: Number(row.id), number: Number(row.number) } : null
  })

/**
 * With what a run was started, as far as rows tell: those of loops do, of others those that ended badly, and for those of a resident runner that of its
 * process.
 */
export const findStartFacts = async (db: Db, taskId: number, number: number): Promise<StartFacts | null> => {
  const row = await withRetries(() =>
    db.kysely
      .selectFrom('bg_run')
      .innerJoin('bg_task', 'bg_task.id', 'bg_run.task_id')
      .select(['start_facts', 'resident_task', 'bg_run.host', 'pid', 'start_ticks', 'boot_id', 'timeout_ms', 'grace_ms'])
      .where('bg_run.task_id', '=', taskId)
      .where('bg_run.number', '=', number)
      .executeTakeFirst(),
  )
  if (row?.start_facts) return JSON.parse(row.start_facts) as StartFacts
  if (!row || row.resident_task === null || row.pid === null || row.boot_id === null) return null
  const process = { pid: Number(row.pid), startTicks: Number(row.start_ticks), bootId: row.boot_id }
  const startedWith = await findResidentStart(db, row.host, process)
  // A resident runner has no limits, and the others are the task's.
  const timeoutMs = row.timeout_ms === null ? null : Number(row.timeout_ms)
  return startedWith && { ...startedWith, limits: null, timeoutMs, graceMs: Number(row.grace_ms) }
}
