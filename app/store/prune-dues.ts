import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/**
 * Removes a few due times that were dealt with before that moment: `limit` of them, and those of the same moment.
 * To be repeated until none was removed.
 * @returns how many
 */
export const pruneDues = (db: Db, before: number, limit: number): Promise<number> =>
  withRetries(async () => {
    const oldest = await db.kysely
      .selectFrom('bg_schedule_due')
      .select('made_at')
      .where('made_at', '<', before)
      .orderBy('made_at')
      .limit(limit)
      .execute()
    const last = oldest.at(-1)
    if (!last) return 0
    const { numDeletedRows } = await db.kysely.deleteFrom('bg_schedule_due').where('made_at', '<=', last.made_at).executeTakeFirst()
    return Number(numDeletedRows)
  })
