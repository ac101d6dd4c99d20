import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import { migrations } from './migrate.ts'

/** What matters to whoever looks why something does not work. */
export interface DatabaseSettings {
  version: string
  /** Migrations that this code has and the database has not, and the other way round. */
  missing: string[]
  unknown: string[]
  /** Whether a commit is on the disk when it is told; null where that is our own setting. */
  flushAtCommit: boolean | null
  readOnly: boolean
  /** The server's clock less this machine's; null where both are the same. */
  clockOffMs: number | null
}

export const readDatabaseSettings = async (db: Db): Promise<DatabaseSettings> => {
  const applied = await appliedMigrations(db)
  const known = migrations.map(migration => migration.name)
  const common = { missing: known.filter(name => !applied.includes(name)), unknown: applied.filter(name => !known.includes(name)) }
  return { ...common, ...(db.dialect === 'sqlite' ? await ofSqlite(db) : await ofMysql(db)) }
}

type Own = Pick<DatabaseSettings, 'version' | 'flushAtCommit' | 'readOnly' | 'clockOffMs'>

const ofSqlite = async (db: Db): Promise<Own> => {
  const [row] = await rows<{ version: string }>(db, 'SELECT sqlite_version() AS version')
  return { version: `SQLite ${row!.version}`, flushAtCommit: null, readOnly: false, clockOffMs: null }
}

const ofMysql = async (db: Db): Promise<Own> => {
  const asked = Date.now()
  const [row] = await rows<{ version: string; flush: number; readOnly: number; now: number | string }>(
    db,
    'SELECT VERSION() AS version, @@GLOBAL.innodb_flush_log_at_trx_commit AS `flush`, @@GLOBAL.read_only AS readOnly, UNIX_TIMESTAMP(NOW(3)) * 1000 AS now',
  )
  const { version, flush, readOnly, now } = row!
  return {
    version: `${/mariadb/i.test(version) ? 'MariaDB' : 'MySQL'} ${version.split('-')[0]}`,
    flushAtCommit: Number(flush) === 1,
    readOnly: Number(readOnly) !== 0,
    clockOffMs: Math.round(Number(now) - (asked + Date.now()) / 2),
  }
}

const appliedMigrations = async (db: Db): Promise<string[]> => {
  const table =
    db.dialect === 'sqlite'
      ? "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = 'bg_migration'"
      : "SELECT COUNT(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'bg_migration'"
  const [found] = await rows<{ n: number }>(db, table)
  if (Number(found!.n) === 0) return []
  return (await rows<{ name: string }>(db, 'SELECT name FROM bg_migration WHERE applied_at IS NOT NULL ORDER BY name')).map(row => row.name)
}

const rows = async <Row>(db: Db, sql: string): Promise<Row[]> => (await db.kysely.executeQuery<Row>(CompiledQuery.raw(sql))).rows
