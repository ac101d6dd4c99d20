import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** Its tasks stay; its due times go with them. @returns false when it is gone already */
export const removeSchedule = (db: Db, id: number): Promise<boolean> =>
  withRetries(async maybeDone => {
    const { numDeletedRows } = await db.kysely.deleteFrom('bg_schedule').where('id', '=', id).executeTakeFirst()
    return numDeletedRows === 1n || maybeDone
  })
