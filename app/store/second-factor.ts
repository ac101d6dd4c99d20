import type { Transaction } from 'kysely'
import type { Db } from './database.ts'
import { type By, lockAdmin } from './lock-users.ts'
import type { Tables } from './tables.ts'
import { transact } from './transact.ts'

/**
 * Turns it on, with fresh recovery codes, and ends the user's sessions except the one in which it was done.
 * @param factor.step of the code that proved it: that one is used up
 * @returns false when it is on already, or there is no such user
 */
export const turnOnSecondFactor = (
  db: Db,
  userId: number,
  factor: { secret: string; step: number; codeHashes: readonly string[] },
  exceptSession?: string,
): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    const { numUpdatedRows } = await trx
      .updateTable('bg_user')
      .set({ totp_secret: factor.secret, totp_step: factor.step })
      .where('id', '=', userId)
      .where('totp_secret', 'is', null)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) {
      const row = maybeDone ? await trx.selectFrom('bg_user').select('totp_secret').where('id', '=', userId).executeTakeFirst() : undefined
      return row?.totp_secret === factor.secret
    }
    await putRecoveryCodes(trx, userId, factor.codeHashes)
    const sessions = trx.deleteFrom('bg_session').where('user_id', '=', userId)
    await (exceptSession ? sessions.where('id_hash', '<>', exceptSession) : sessions).execute()
    return true
  })

/** Turns it off, and its recovery codes are worth nothing any more. @param by when it is somebody else's @throws NotAdmin */
export const turnOffSecondFactor = (db: Db, userId: number, by?: By): Promise<void> =>
  transact(db, async trx => {
    await lockAdmin(db, trx, by)
    await trx.updateTable('bg_user').set({ totp_secret: null, totp_step: null }).where('id', '=', userId).execute()
    await trx.deleteFrom('bg_recovery_code').where('user_id', '=', userId).execute()
  })

/** Those from before are worth nothing any more. @returns false when the second factor is off */
export const replaceRecoveryCodes = (db: Db, userId: number, codeHashes: readonly string[]): Promise<boolean> =>
  transact(db, async trx => {
    const user = await trx.selectFrom('bg_user').select('totp_secret').where('id', '=', userId).executeTakeFirst()
    if (!user?.totp_secret) return false
    await putRecoveryCodes(trx, userId, codeHashes)
    return true
  })

/**
 * Takes the code of that step, and with it all codes of earlier steps: none is taken twice.
 * @returns whether it was still to be had, for that secret
 */
export const takeTotpStep = async (db: Db, userId: number, secret: string, step: number): Promise<boolean> => {
  // Not tried again: after a broken connection it may be taken, and a taken code must not open.
  const { numUpdatedRows } = await db.kysely
    .updateTable('bg_user')
    .set({ totp_step: step })
    .where('id', '=', userId)
    .where('totp_secret', '=', secret)
    .where(where => where.or([where('totp_step', 'is', null), where('totp_step', '<', step)]))
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

const putRecoveryCodes = async (trx: Transaction<Tables>, userId: number, codeHashes: readonly string[]) => {
  await trx.deleteFrom('bg_recovery_code').where('user_id', '=', userId).execute()
  const rows = codeHashes.map(hash => ({ user_id: userId, code_hash: hash, used_at: null }))
  await trx.insertInto('bg_recovery_code').values(rows).execute()
}
