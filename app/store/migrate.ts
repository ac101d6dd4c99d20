import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery } from 'kysely'
import { maskUrl } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { type Db, openDatabase } from './database.ts'
import * as first from './migrations/0001-first.ts'
import * as artifacts from './migrations/0002-artifacts.ts'
import * as keys from './migrations/0003-keys.ts'
import * as requestKeys from './migrations/0004-request-keys.ts'
import * as residents from './migrations/0006-residents.ts'
import * as cron from './migrations/0007-cron.ts'
import * as schedules from './migrations/0008-schedules.ts'
import * as errors from './migrations/0009-errors.ts'
import * as earlierFailures from './migrations/0012-earlier-failures.ts'
import * as samples from './migrations/0013-samples.ts'
import * as incidents from './migrations/0014-incidents.ts'
import * as bulk from './migrations/0016-bulk.ts'
import * as endFacts from './migrations/0020-end-facts.ts'
import * as loopErrors from './migrations/0021-loop-errors.ts'
import * as edits from './migrations/0024-edits.ts'
import * as startFacts from './migrations/0026-start-facts.ts'
import * as aside from './migrations/0028-aside.ts'
import * as auditSubject from './migrations/0029-audit-subject.ts'
import * as runCounts from './migrations/0030-run-counts.ts'
import * as residentStarts from './migrations/0031-resident-starts.ts'
import { type Ddl, mysqlDdl, sqliteDdl } from './migrations/ddl.ts'
import { type Executor, transact } from './transact.ts'

interface Migration {
  name: string
  statements(ddl: Ddl): string[]
  /**
   * What becomes of rows that are there already, a slice of them at a time, each in a transaction; a slice may be repeated.
   * @param after 0, then what it returned @returns null when none is left
   */
  fill?(db: Db, trx: Executor, after: number): Promise<number | null>
}

/** In the order they are applied. */
export const migrations: readonly Migration[] = [
  first,
  artifacts,
  keys,
  requestKeys,
  residents,
  cron,
  schedules,
  errors,
  earlierFailures,
  samples,
  incidents,
  bulk,
  endFacts,
  loopErrors,
  edits,
  startFacts,
  aside,
  auditSubject,
  runCounts,
  residentStarts,
]

/**
 * Brings the tables up to this version of the code. Several processes may do it at once.
 * @param known those of an older version make a database as that one did
 * @returns the names of the migrations that this call applied
 * @throws BgtaskError `misconfigured` when the database is newer than the code
 */
export const migrate = async (db: Db, known: readonly Migration[] = migrations): Promise<string[]> => {
  if ((await pending(db, known)).length === 0) return []
  return db.dialect === 'sqlite' ? migrateSqlite(db, known) : migrateMysql(db, known)
}

/** Whether the tables are those of this version of the code. @throws when the database is away */
export const isMigrated = async (db: Db): Promise<boolean> => {
  try {
    return (await pending(db, migrations)).length === 0
  } catch (error) {
    // It is newer.
    if (error instanceof BgtaskError && error.code === 'misconfigured') return false
    throw error
  }
}

const migrateSqlite = (db: Db, known: readonly Migration[]): Promise<string[]> =>
  transact(db, async trx => {
    await run(trx, sqliteDdl.table(migrationTable))
    const applied: string[] = []
    for (const migration of await pending(db, known, trx)) {
      await run(trx, migration.statements(sqliteDdl))
      await fill(migration, (slice, after) => slice(db, trx, after))
      const now = Date.now()
      await trx.insertInto('bg_migration').values({ name: migration.name, started_at: now, applied_at: now }).execute()
      applied.push(migration.name)
    }
    return applied
  })

// DDL of MySQL commits by itself, so whoever inserted the row applies the migration while the others wait for it. If that one died, its
// row stops changing and another takes over, which is why all DDL may be repeated.
const migrateMysql = async (db: Db, known: readonly Migration[]): Promise<string[]> => {
  const patient = await openDatabase(db.url, { statementTimeoutMs: 6 * 3_600_000 })
  try {
    const ddl = mysqlDdl(await exactCollation(patient))
    await run(patient.kysely, ddl.table(migrationTable))
    const applied: string[] = []
    for (const migration of await pending(patient, known)) {
      if (await takeUp(patient, migration.name)) {
        await whileSigned(patient, migration.name, async () => {
          await run(patient.kysely, migration.statements(ddl))
          await fill(migration, (slice, after) => transact(patient, trx => slice(patient, trx, after)))
        })
        applied.push(migration.name)
      }
    }
    return applied
  } finally {
    await patient.close()
  }
}

const fill = async (migration: Migration, carryOut: (slice: NonNullable<Migration['fill']>, after: number) => Promise<number | null>) => {
  for (let after: number | null = 0; migration.fill && after !== null; ) after = await carryOut(migration.fill, after)
}

/** @returns true when this process is to apply it, false when another one has */
const takeUp = async (db: Db, name: string): Promise<boolean> => {
  let seen = { sign: -1, since: 0 }
  for (;;) {
    const inserted = await run(db.kysely, [
      `INSERT IGNORE INTO bg_migration (name, started_at, applied_at) VALUES ('${name}', ${Date.now()}, NULL)`,
    ])
    if (inserted === 1) return true
    const row = await db.kysely.selectFrom('bg_migration').selectAll().where('name', '=', name).executeTakeFirst()
    if (row && row.applied_at !== null) return false
    if (row && seen.sign === row.started_at && performance.now() - seen.since > 6_000) {
      const taken = await db.kysely
        .updateTable('bg_migration')
        .set({ started_at: Math.max(Date.now(), row.started_at + 1) })
        .where('name', '=', name)
        .where('started_at', '=', row.started_at)
        .where('applied_at', 'is', null)
        .executeTakeFirst()
      if (taken.numUpdatedRows === 1n) return true
    }
    if (row && seen.sign !== row.started_at) seen = { sign: row.started_at, since: performance.now() }
    await sleep(100)
  }
}

const whileSigned = async (db: Db, name: string, work: () => Promise<unknown>) => {
  const ofThis = () => db.kysely.updateTable('bg_migration').where('name', '=', name)
  const signing = setInterval(() => {
    // A missed sign costs nothing unless many are missed, and then the work has failed as well.
    ofThis()
      .set(row => ({ started_at: row('started_at', '+', 1) }))
      .execute()
      .catch(() => undefined)
  }, 1_000)
  try {
    await work()
  } finally {
    clearInterval(signing)
  }
  await ofThis().set({ applied_at: Date.now() }).execute()
}

const pending = async (db: Db, known: readonly Migration[], executor: Executor = db.kysely): Promise<Migration[]> => {
  const rows = await executor
    .selectFrom('bg_migration')
    .select(['name', 'applied_at'])
    .execute()
    .catch((error: unknown) => {
      if (isMissingTable(error)) return []
      throw error
    })
  const strange = rows.map(row => row.name).find(name => !known.some(migration => migration.name === name))
  if (strange) {
    throw new BgtaskError(
      'misconfigured',
      `The database ${maskUrl(db.url)} is newer than this version of bgtask: it has the migration ${strange}. ` +
        'Install the newer version, or set DATABASE_URL to another database.',
    )
  }
  const done = new Set(rows.filter(row => row.applied_at !== null).map(row => row.name))
  return known.filter(migration => !done.has(migration.name))
}

const isMissingTable = (error: unknown) =>
  error instanceof Error && (('errno' in error && error.errno === 1146) || /no such table/.test(error.message))

const migrationTable = {
  name: 'bg_migration',
  columns: { name: 'text(64)', started_at: 'bigint', applied_at: 'bigint null' },
  primaryKey: ['name'],
}

// The exact collations that do not ignore blanks at the end have different names on the two servers.
const exactCollation = async (db: Db): Promise<string> => {
  const wanted = ['utf8mb4_nopad_bin', 'utf8mb4_0900_bin']
  const { rows } = await db.kysely.executeQuery<{ name: string }>(
    CompiledQuery.raw('SELECT COLLATION_NAME AS name FROM information_schema.COLLATIONS WHERE COLLATION_NAME IN (?, ?)', wanted),
  )
  return wanted.find(name => rows.some(row => row.name === name)) ?? 'utf8mb4_bin'
}

/** @returns rows affected by the last statement */
const run = async (executor: Executor, statements: readonly string[]): Promise<number> => {
  let affected = 0
  for (const statement of statements) {
    try {
      affected = Number((await executor.executeQuery(CompiledQuery.raw(statement))).numAffectedRows ?? 0)
    } catch (error) {
      if (!isThereAlready(error)) throw error
    }
  }
  return affected
}

// A column or an index that an earlier try, which died half way, has added.
const isThereAlready = (error: unknown) => error instanceof Error && 'errno' in error && (error.errno === 1060 || error.errno === 1061)
