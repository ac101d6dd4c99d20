import { sql } from 'kysely'
import type { Db } from './database.ts'
import type { TaskRow } from './tables.ts'

/**
 * `bg_task`, to be read by one certain index: where several begin with the same column, MySQL guesses from statistics that may be old,
 * and then sorts. SQLite chooses well by itself, since it looks at the order that is asked for.
 */
export const fromIndex = (db: Db, index: string) =>
  sql<TaskRow>`bg_task`.as<'bg_task'>(sql.raw(db.dialect === 'mysql' ? `bg_task FORCE INDEX (${index})` : 'bg_task'))
