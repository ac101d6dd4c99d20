import { setTimeout as sleep } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import type { CallerTransaction, Db } from './database.ts'
import { isContended, isLost } from './is-away.ts'
import type { Tables } from './tables.ts'

/** What runs statements: a transaction, or the database itself. */
export type Executor = Pick<Db['kysely'], 'selectFrom' | 'insertInto' | 'updateTable' | 'deleteFrom' | 'executeQuery' | 'getExecutor'>

/**
 * Does the work in one transaction, again for up to 5 seconds when others were in the way or the connection broke.
 * @param work is told whether an earlier try may have been committed after all; then it must read first
 * @param trx the caller's: the work joins it and is done just once, since a broken transaction is the caller's to begin anew
 */
export const transact = <T>(
  db: Db,
  work: (trx: Transaction<Tables>, maybeDone: boolean) => Promise<T>,
  trx?: CallerTransaction,
): Promise<T> =>
  trx
    ? work(trx.withoutPlugins() as Transaction<Tables>, false)
    : withRetries(maybeDone => db.kysely.transaction().execute(begun => work(begun, maybeDone)))

/** A server that was away leaves a whole pool of dead connections, and each has to be tried to be found dead. */
const lostTries = 10

/** The same for single statements, each its own transaction. */
export const withRetries = async <T>(work: (maybeDone: boolean) => Promise<T>): Promise<T> => {
  const beganAt = performance.now()
  let maybeDone = false
  for (let tries = 1; ; tries++) {
    try {
      return await work(maybeDone)
    } catch (error) {
      const lost = isLost(error)
      // Whoever asked should hear of an outage soon, so there is no further try after some seconds.
      if ((lost && tries === lostTries) || !(lost || isContended(error)) || performance.now() - beganAt > 5_000) throw error
      maybeDone ||= lost
      await sleep(5 * 2 ** Math.min(tries, 5) * (0.5 + Math.random()))
    }
  }
}
