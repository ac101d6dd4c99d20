import { BgtaskError } from '../errors.ts'
import type { Db } from '../store/database.ts'
import { useRecoveryCode } from '../store/recovery-codes.ts'
import { replaceRecoveryCodes, takeTotpStep, turnOnSecondFactor } from '../store/second-factor.ts'
import type { User } from '../store/users.ts'
import { told } from '../task/told.ts'
import { newRecoveryCodes, recoveryCodeHash } from './recovery-code.ts'
import { totpStepOf } from './totp.ts'

/**
 * Takes a code of the app, or a recovery code; either works once.
 * @returns which of the two it was; null when it fits neither, or was taken before
 */
export const takeCode = async (
  db: Db,
  user: Pick<User, 'id' | 'totpSecret'>,
  given: string,
  now: number = Date.now(),
): Promise<'code' | 'recovery-code' | null> => {
  if (user.totpSecret === null) return null
  const step = totpStepOf(user.totpSecret, bareCode(given), now)
  if (step !== null) return (await takeTotpStep(db, user.id, user.totpSecret, step)) ? 'code' : null
  const hash = recoveryCodeHash(user.id, given)
  return hash !== null && (await useRecoveryCode(db, user.id, hash, now)) ? 'recovery-code' : null
}

/** As an app shows it: apps put a blank in the middle. */
export const bareCode = (given: string): string => given.replace(/\s/g, '')

/**
 * Turns it on for that user; their other sessions end.
 * @param factor.step of the code by which the user showed that the app has the secret
 * @returns the recovery codes, which nobody can read again
 * @throws BgtaskError `conflict` when it is on already
 */
export const startSecondFactor = async (
  db: Db,
  userId: number,
  { secret, step, exceptSession }: { secret: string; step: number; exceptSession?: string },
): Promise<string[]> => {
  const codes = newRecoveryCodes()
  const codeHashes = codes.map(one => recoveryCodeHash(userId, one)!)
  if (await turnOnSecondFactor(db, userId, { secret, step, codeHashes }, exceptSession)) return codes
  throw new BgtaskError('conflict', told`The second factor is on already. Turn it off first, then set it up anew.`)
}

/** @returns the new ones, which nobody can read again @throws BgtaskError `conflict` when the second factor is off */
export const renewRecoveryCodes = async (db: Db, userId: number): Promise<string[]> => {
  const codes = newRecoveryCodes()
  const hashes = codes.map(one => recoveryCodeHash(userId, one)!)
  if (await replaceRecoveryCodes(db, userId, hashes)) return codes
  throw new BgtaskError('conflict', told`The second factor is off, so it has no recovery codes.`)
}
