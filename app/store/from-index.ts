import { sql } from 'kysely'
import type { Db } from './database.ts'
import type { AuditRow, ErrorRow, TaskRow } from './tables.ts'

/**
 * `bg_task`, to be read by one certain index: where several would do, MySQL guesses from statistics that may be old. A bad guess makes
 * it sort, or lock rows by way of another index than everybody else, which ends in deadlocks. SQLite chooses well by itself.
 */
export const fromIndex = (db: Db, index: string) => hinted<TaskRow, 'bg_task'>(db, 'bg_task', index)

/** The same of `bg_error`. */
export const errorsFromIndex = (db: Db, index: string) => hinted<ErrorRow, 'bg_error'>(db, 'bg_error', index)

/** The same of `bg_audit`. @param index null: as the server likes */
export const auditFromIndex = (db: Db, index: string | null) => hinted<AuditRow, 'bg_audit'>(db, 'bg_audit', index)

const hinted = <Row, Name extends string>(db: Db, table: Name, index: string | null) =>
  sql<Row>`${sql.raw(table)}`.as<Name>(sql.raw(db.dialect === 'mysql' && index !== null ? `${table} FORCE INDEX (${index})` : table))
