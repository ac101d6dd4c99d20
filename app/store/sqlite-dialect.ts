import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Dialect, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'
import { isContended } from './is-away.ts'

/** The embedded database: one connection a process, on which a transaction has the writer's place from its first statement. */
export const openSqlite = async (path: string): Promise<Dialect> => {
  createPrivately(path)
  const database = new DatabaseSync(path, { timeout: busyMs, enableForeignKeyConstraints: false })
  try {
    await useWal(database)
    // FULL: what is committed survives a power cut too.
    database.exec('PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864')
  } catch (error) {
    database.close()
    throw error
  }
  return new SqliteDialect({ database: new Statements(database) })
}

/** Statements wait this long for another process's commit, and block this one meanwhile; the retries around them wait without blocking. */
const busyMs = 100

// Never opened where it is there already: closing any descriptor of the file would drop the locks that this process has on it (fcntl(2)).
const createPrivately = (path: string) => {
  if (path === ':memory:') return
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

// The change to WAL needs the file for itself for a moment, and does not wait for it.
const useWal = async (database: DatabaseSync) => {
  for (let tries = 1; ; tries++) {
    try {
      database.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (tries === 20 || !isContended(error)) throw error
      await sleep(10 + Math.random() * 40)
    }
  }
}

/** What Kysely expects of a database, over node:sqlite, with each statement prepared once. */
class Statements implements SqliteDatabase {
  readonly #database: DatabaseSync
  readonly #prepared = new Map<string, Prepared>()

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  prepare(sql: string): SqliteStatement {
    // After a full disk SQLite has rolled back by itself, and a second rollback would hide the reason.
    if (sql === 'rollback' && !this.#database.isTransaction) return nothing
    const found = this.#prepared.get(sql)
    if (found) return found
    const made = new Prepared(this.#database.prepare(sql === 'begin' ? 'BEGIN IMMEDIATE' : sql))
    if (this.#prepared.size >= 500) this.#prepared.delete(this.#prepared.keys().next().value!)
    this.#prepared.set(sql, made)
    return made
  }

  close(): void {
    this.#prepared.clear()
    this.#database.close()
  }
}

class Prepared implements SqliteStatement {
  readonly reader: boolean
  readonly #statement: StatementSync

  constructor(statement: StatementSync) {
    this.#statement = statement
    this.reader = statement.columns().length > 0
  }

  all(parameters: readonly unknown[]) {
    return this.#statement.all(...(parameters as SQLInputValue[]))
  }
  run(parameters: readonly unknown[]) {
    return this.#statement.run(...(parameters as SQLInputValue[]))
  }
  iterate(parameters: readonly unknown[]) {
    return this.#statement.iterate(...(parameters as SQLInputValue[]))
  }
}

const nothing: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [].values(),
}
