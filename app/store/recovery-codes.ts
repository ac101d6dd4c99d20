import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** Uses it up. Of several who try, one succeeds. @returns false when it is unknown, used, or somebody else's */
export const useRecoveryCode = async (db: Db, userId: number, codeHash: string, now: number): Promise<boolean> => {
  // Not tried again: after a broken connection it may be used up, and a used code must not open.
  const { numUpdatedRows } = await db.kysely
    .updateTable('bg_recovery_code')
    .set({ used_at: now })
    .where('user_id', '=', userId)
    .where('code_hash', '=', codeHash)
    .where('used_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** How many are left. */
export const countRecoveryCodes = (db: Db, userId: number): Promise<number> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_recovery_code')
      .select('code_hash')
      .where('user_id', '=', userId)
      .where('used_at', 'is', null)
      .execute()
    return rows.length
  })
