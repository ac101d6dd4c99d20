import { Kysely, type Transaction } from 'kysely'
import { maskUrl } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { told } from '../task/told.ts'
import type { Tables } from './tables.ts'

export { isAway } from './is-away.ts'

export interface Db {
  kysely: Kysely<Tables>
  dialect: 'sqlite' | 'mysql'
  /** With its password: never show it unmasked. */
  url: string
  /** INSERT … RETURNING is there (SQLite and MariaDB, not MySQL). */
  returning: boolean
  close(): Promise<void>
}

/** A transaction of the caller's own Kysely on the same database, whatever tables its type knows. */
// biome-ignore lint/suspicious/noExplicitAny: a Transaction is invariant in its tables, so no other type takes all of them
export type CallerTransaction = Transaction<any>

export interface DatabaseOptions {
  /** No statement takes longer on MySQL; then its connection is destroyed and an error thrown for which isAway() holds. Default 5000. */
  statementTimeoutMs?: number
  /** Told every statement before it is sent. */
  log?: (sql: string, parameters: readonly unknown[]) => void
}

/**
 * @param url `sqlite:<path>` or `mysql://user:password@host:port/database`
 * @throws BgtaskError `database-away` when it cannot be reached or opened
 */
export const openDatabase = async (url: string, { statementTimeoutMs = 5_000, log }: DatabaseOptions = {}): Promise<Db> => {
  const isSqlite = url.startsWith('sqlite:')
  try {
    return await (isSqlite ? sqlite(url, log) : mysql(url, statementTimeoutMs, log))
  } catch (error) {
    if (error instanceof BgtaskError) throw error
    throw new BgtaskError('database-away', isSqlite ? sqliteTrouble(url, error) : mysqlTrouble(url, error), { cause: error })
  }
}

const sqlite = async (url: string, log: DatabaseOptions['log']): Promise<Db> => {
  const { openSqlite } = await import('./sqlite-dialect.ts')
  const kysely = new Kysely<Tables>({ dialect: await openSqlite(url.slice('sqlite:'.length)), ...listener(log) })
  return { kysely, dialect: 'sqlite', url, returning: true, close: () => kysely.destroy() }
}

const mysql = async (url: string, statementTimeoutMs: number, log: DatabaseOptions['log']): Promise<Db> => {
  const { openMysql } = await import('./mysql-dialect.ts')
  const { dialect, isMariaDb } = openMysql(url, statementTimeoutMs)
  const kysely = new Kysely<Tables>({ dialect, ...listener(log) })
  try {
    // The pool is Kysely's from its first query on, so that destroy() ends it.
    await kysely.connection().execute(async () => undefined)
    return { kysely, dialect: 'mysql', url, returning: await isMariaDb(), close: () => kysely.destroy() }
  } catch (error) {
    await kysely.destroy()
    throw error
  }
}

const listener = (log: DatabaseOptions['log']) =>
  log ? { log: (event: { query: { sql: string; parameters: readonly unknown[] } }) => log(event.query.sql, event.query.parameters) } : {}

const sqliteTrouble = (url: string, error: unknown) => {
  const path = url.slice('sqlite:'.length)
  const remedy =
    (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? told`Make its folder, or set DATABASE_URL.`
      : told`See that the file is an SQLite database which this user may read and write, in a folder where it may write, with room on the disk.`
  return told`The database ${path} cannot be opened: ${messageOf(error)}. ${remedy}`
}

const mysqlTrouble = (url: string, error: unknown) => {
  const { errno, code } = error as { errno?: number; code?: string }
  const where = maskUrl(url)
  const name = URL.canParse(url) ? new URL(url).pathname.slice(1) : ''
  if (errno === 1049)
    return told`The database server has no database ${name} (${where}). Make it: CREATE DATABASE ${name} CHARACTER SET utf8mb4.`
  if (errno === 1045 || errno === 1044)
    return told`The database refuses the login (${where}): ${messageOf(error)}. Mend user or password in DATABASE_URL.`
  const why = code === 'ECONNREFUSED' ? told`nothing listens there` : code === 'ENOTFOUND' ? told`there is no such host` : messageOf(error)
  return told`The database ${where} cannot be reached: ${why}. Start the server, or mend DATABASE_URL.`
}
