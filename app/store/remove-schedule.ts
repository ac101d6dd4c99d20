import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/**
 * Its tasks stay; its due times go with them.
 * @returns `changed`: somebody did so since it was read, and it stays; `gone` when it is gone already
 */
export const removeSchedule = (db: Db, seen: { id: number; revision: number }): Promise<'removed' | 'changed' | 'gone'> =>
  withRetries(async maybeDone => {
    const { numDeletedRows } = await db.kysely
      .deleteFrom('bg_schedule')
      .where('id', '=', seen.id)
      .where('revision', '=', seen.revision)
      .executeTakeFirst()
    if (numDeletedRows === 1n) return 'removed'
    const there = await db.kysely.selectFrom('bg_schedule').select('id').where('id', '=', seen.id).executeTakeFirst()
    if (there) return 'changed'
    return maybeDone ? 'removed' : 'gone'
  })
