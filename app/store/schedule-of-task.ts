import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** Which schedule made a task, and for when. */
export interface MadeBySchedule {
  scheduleId: number
  /** null: it was removed since. */
  name: string | null
  dueAt: number
  /** A person asked for it, at `dueAt`. */
  byHand: boolean
}

/** @returns null when no schedule made it */
export const scheduleOfTask = (db: Db, taskId: number): Promise<MadeBySchedule | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom('bg_schedule_due')
      .leftJoin('bg_schedule', 'bg_schedule.id', 'bg_schedule_due.schedule_id')
      .select(['schedule_id', 'name', 'due_at', 'by_hand'])
      .where('task_id', '=', taskId)
      // With a unique key it may have been kept for several due times: the first of them, in the order of the index.
      .orderBy('schedule_id')
      .orderBy('due_at')
      .limit(1)
      .executeTakeFirst()
    return row
      ? { scheduleId: Number(row.schedule_id), name: row.name, dueAt: Number(row.due_at), byHand: Number(row.by_hand) === 1 }
      : null
  })
