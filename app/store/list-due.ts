import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/** Waiting ONCE tasks that may start now: by priority, then due time, then id. */
export const listDue = (db: Db, limit: number): Promise<Task[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due'))
      .selectAll()
      .where('due', '=', 'now')
      .orderBy('priority')
      .orderBy('run_at')
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(toTask)
  })

/** Lets tasks whose time has come be due. @returns how many */
export const promoteDue = (db: Db, now: number, limit: number): Promise<number> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due_at'))
      .select('id')
      .where('due', '=', 'later')
      .where('run_at', '<=', now)
      .orderBy('run_at')
      .orderBy('id')
      .limit(limit)
      .execute()
    if (rows.length === 0) return 0
    const ids = rows.map(row => row.id)
    const { numUpdatedRows } = await db.kysely
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set({ due: 'now' })
      .where('id', 'in', ids)
      .where('due', '=', 'later')
      .where('run_at', '<=', now)
      .executeTakeFirst()
    return Number(numUpdatedRows)
  })

/** When the next task that waits for its time is due; null when none does. */
export const nextDueAt = (db: Db): Promise<number | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due_at'))
      .select('run_at')
      .where('due', '=', 'later')
      .orderBy('run_at')
      .limit(1)
      .executeTakeFirst()
    return row ? Number(row.run_at) : null
  })
