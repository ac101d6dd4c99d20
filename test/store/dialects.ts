import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { type DatabaseOptions, type Db, openDatabase } from '../../app/store/database.ts'
import { migrate } from '../../app/store/migrate.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { mariadbMissing } from '../helpers/tools.ts'

/** A database that the whole store suite runs on. */
export interface Dialect {
  name: string
  /** Why it cannot be tested here, or false. */
  skip: string | false
  /** As on MySQL, which knows no INSERT … RETURNING. */
  returning?: false
  /** URL of a new, empty database. */
  newUrl(): Promise<string>
}

export const dialects: readonly Dialect[] = [
  { name: 'SQLite', skip: false, newUrl: async () => `sqlite:${join(folder(), `${++count}.sqlite`)}` },
  { name: 'MariaDB', skip: mariadbMissing(), newUrl: async () => (await sharedMariaDb()).newDatabase() },
]

/** The same, and the way that inserts take on MySQL. */
export const insertDialects: readonly Dialect[] = [...dialects, { ...dialects[1]!, name: 'MariaDB without RETURNING', returning: false }]

/** A new database with its tables; closed when the test file ends. */
export const freshDb = async (dialect: Dialect, options?: DatabaseOptions): Promise<Db> => {
  const db = await reopen(await dialect.newUrl(), options)
  await migrate(db)
  if (dialect.returning === false) db.returning = false
  return db
}

/** One more connection to a database; closed when the test file ends. */
export const reopen = async (url: string, options?: DatabaseOptions): Promise<Db> => {
  const db = await openDatabase(url, options)
  opened.push(db)
  return db
}

let count = 0
let made: string | undefined
const opened: Db[] = []

const folder = () => {
  made ??= mkdtempSync(join(tmpdir(), 'bgtask-store-'))
  return made
}

after(async () => {
  for (const db of opened) await db.close()
  if (made) rmSync(made, { recursive: true, force: true })
})
