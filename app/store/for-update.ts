import type { SelectQueryBuilder } from 'kysely'
import type { Db } from './database.ts'

/** Locks the rows read until the transaction ends. SQLite knows no FOR UPDATE and needs none: its writers come one after the other. */
export const forUpdate = <DB, TB extends keyof DB, O>(db: Db, query: SelectQueryBuilder<DB, TB, O>): SelectQueryBuilder<DB, TB, O> =>
  db.dialect === 'sqlite' ? query : query.forUpdate()
