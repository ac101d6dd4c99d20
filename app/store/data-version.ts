import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'

/**
 * A number that differs from the last one when another connection has changed the database since (SQLite's PRAGMA data_version).
 * @returns null where the database cannot tell: then one has to look
 */
export const dataVersion = async (db: Db): Promise<number | null> => {
  if (db.dialect !== 'sqlite') return null
  const { rows } = await db.kysely.executeQuery<{ data_version: number }>(query)
  return Number(rows[0]!.data_version)
}

const query = CompiledQuery.raw('PRAGMA data_version')
