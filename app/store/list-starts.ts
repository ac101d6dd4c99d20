import type { EndFacts, StopFacts } from '../task/end-facts.ts'
import type { Run } from '../task/run.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** When a run began, how it ended, and what had asked it to; without its texts, which may be long. */
export type Start = Pick<Run, 'number' | 'startedAt' | 'outcome'> & {
  /** What it was asked to stop for, and by whom. */
  stop: Pick<StopFacts, 'because' | 'by'> | null
}

/** Those of the newest runs of a task, newest first, the one under way included. */
export const listStarts = (db: Db, taskId: number, limit: number): Promise<Start[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_run')
      .select(['number', 'started_at', 'outcome', 'end_facts'])
      .where('task_id', '=', taskId)
      .orderBy('number', 'desc')
      .limit(limit)
      .execute()
    return rows.map(row => ({
      number: Number(row.number),
      startedAt: Number(row.started_at),
      outcome: row.outcome as Start['outcome'],
      stop: row.end_facts === null ? null : ((JSON.parse(row.end_facts) as EndFacts).stop ?? null),
    }))
  })
