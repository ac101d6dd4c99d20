import type { Run } from '../task/run.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** When a run was, and how it ended; without its texts, which may be long. */
export type Life = Pick<Run, 'number' | 'startedAt' | 'endedAt' | 'outcome'>

/** The newest runs of a task, newest first, the one under way included. */
export const listLives = (db: Db, taskId: number, limit: number): Promise<Life[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_run')
      .select(['number', 'started_at', 'ended_at', 'outcome'])
      .where('task_id', '=', taskId)
      .orderBy('number', 'desc')
      .limit(limit)
      .execute()
    return rows.map(row => ({
      number: Number(row.number),
      startedAt: Number(row.started_at),
      endedAt: row.ended_at === null ? null : Number(row.ended_at),
      outcome: row.outcome as Life['outcome'],
    }))
  })
