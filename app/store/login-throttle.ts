import { CompiledQuery, type Transaction } from 'kysely'
import type { Db } from './database.ts'
import type { Tables } from './tables.ts'
import { transact, withRetries } from './transact.ts'

export interface LoginFailures {
  /** What failures are counted for, e.g. `user:<name>` or `ip:<address>`. */
  subject: string
  failures: number
  /** Milliseconds since 1970. */
  lastAt: number
}

/**
 * Takes one try for all subjects, or none. A try counts as a failure from the moment it is taken, so that a hundred at once are not all
 * looked at before the first of them has failed.
 * @param wait how long to wait, by what failed before, in ms; 0: now
 * @returns what `wait` said: beyond 0 nothing was counted
 */
export const takeLoginTry = async (
  db: Db,
  subjects: readonly string[],
  now: number,
  wait: (failures: readonly LoginFailures[]) => number,
): Promise<number> => {
  const refused = new Error('too soon')
  let waitMs = 0
  try {
    // A try that was counted twice, since the connection broke between, does no harm.
    await transact(db, async trx => {
      // Counted first, in one order for everybody: so those who try at once meet at the rows, also where there was none.
      for (const subject of [...subjects].sort()) await count(db, trx, subject, now)
      const rows = await trx.selectFrom('bg_login_failure').selectAll().where('subject', 'in', subjects).execute()
      waitMs = wait(
        rows.flatMap(row => (row.failures > 1 ? [{ subject: row.subject, failures: row.failures - 1, lastAt: Number(row.last_at) }] : [])),
      )
      if (waitMs > 0) throw refused
      await trx.updateTable('bg_login_failure').set({ last_at: now }).where('subject', 'in', subjects).execute()
    })
  } catch (error) {
    if (error !== refused) throw error
  }
  return waitMs
}

const count = async (db: Db, trx: Transaction<Tables>, subject: string, now: number) => {
  const again = db.dialect === 'sqlite' ? 'ON CONFLICT (subject) DO UPDATE' : 'ON DUPLICATE KEY UPDATE'
  const set = db.dialect === 'sqlite' ? 'SET failures = failures + 1' : 'failures = failures + 1'
  await trx.executeQuery(
    CompiledQuery.raw(`INSERT INTO bg_login_failure (subject, failures, last_at) VALUES (?, 1, ?) ${again} ${set}`, [subject, now]),
  )
}

/** The try that was taken was none: one failure less for each. */
export const giveBackLoginTry = (db: Db, subjects: readonly string[]): Promise<void> =>
  withRetries(async () => {
    if (subjects.length === 0) return
    await db.kysely
      .updateTable('bg_login_failure')
      .set(set => ({ failures: set('failures', '-', 1) }))
      .where('subject', 'in', subjects)
      .where('failures', '>', 0)
      .execute()
  })

export const clearLoginFailures = (db: Db, subjects: readonly string[]): Promise<void> =>
  withRetries(async () => {
    if (subjects.length === 0) return
    await db.kysely.deleteFrom('bg_login_failure').where('subject', 'in', subjects).execute()
  })

/** Forgets what failed before that moment. */
export const pruneLoginFailures = (db: Db, before: number): Promise<void> =>
  withRetries(async () => {
    await db.kysely.deleteFrom('bg_login_failure').where('last_at', '<', before).execute()
  })
