import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** Tables of which rows go by their age alone, each with the indexed column that tells it, in milliseconds since 1970. */
const ages = { bg_request_key: 'created_at', bg_resident_start: 'seen_at', bg_schedule_due: 'made_at' } as const

/**
 * Removes a few rows that are older than that moment: `limit` of them, and those of the same moment. To be repeated until none was removed.
 * @returns how many
 */
export const pruneOldest = (db: Db, table: keyof typeof ages, before: number, limit: number): Promise<number> =>
  withRetries(async () => {
    const at = ages[table]
    const ask = (sql: string, values: number[]) => db.kysely.executeQuery<{ at: unknown }>(CompiledQuery.raw(sql, values))
    const { rows } = await ask(`SELECT ${at} AS at FROM ${table} WHERE ${at} < ? ORDER BY ${at} LIMIT ${limit}`, [before])
    const last = rows.at(-1)
    if (!last) return 0
    const { numAffectedRows } = await ask(`DELETE FROM ${table} WHERE ${at} <= ?`, [Number(last.at)])
    return Number(numAffectedRows)
  })
