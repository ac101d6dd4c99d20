import type { Run } from '../task/run.ts'
import type { StartFacts } from '../task/start-facts.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { withRetries } from './transact.ts'

// What is read of the time before a run.

/** A run of long ago, without its texts. */
export type EarlierRun = Pick<Run, 'taskId' | 'number' | 'startedAt' | 'endedAt' | 'outcome' | 'iterations' | 'recycled'>

/** Ended runs of the task before this one, newest first. */
export const runsBefore = (db: Db, taskId: number, number: number, limit: number): Promise<EarlierRun[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_run')
      .select(['number', 'started_at', 'ended_at', 'outcome', 'iterations', 'recycled'])
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
      iterations: row.iterations === null ? null : Number(row.iterations),
      recycled: Number(row.recycled) === 1,
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

/** With what a run was started, as far as its row tells: those of loops do, of others those that ended badly. */
export const findStartFacts = (db: Db, taskId: number, number: number): Promise<StartFacts | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom('bg_run')
      .select('start_facts')
      .where('task_id', '=', taskId)
      .where('number', '=', number)
      .executeTakeFirst()
    return row?.start_facts ? (JSON.parse(row.start_facts) as StartFacts) : null
  })
