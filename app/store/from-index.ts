import { sql } from 'kysely'
import type { Db } from './database.ts'
import type { TaskRow } from './tables.ts'

/**
 * `bg_task`, to be read by one certain index: where several would do, MySQL guesses from statistics that may be old. A bad guess makes
 * it sort, or lock rows by way of another index than everybody else, which ends in deadlocks. SQLite chooses well by itself.
 */
export const fromIndex = (db: Db, index: string) =>
  sql<TaskRow>`bg_task`.as<'bg_task'>(sql.raw(db.dialect === 'mysql' ? `bg_task FORCE INDEX (${index})` : 'bg_task'))
