import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

export interface LoginFailures {
  /** `user:<name>` or `ip:<address>`. */
  subject: string
  failures: number
  /** Milliseconds since 1970. */
  lastAt: number
}

/** Counts one more failed login for each subject. */
export const noteLoginFailure = (db: Db, subjects: string | readonly string[], now: number): Promise<void> =>
  withRetries(async () => {
    const again =
      db.dialect === 'sqlite'
        ? 'ON CONFLICT (subject) DO UPDATE SET failures = failures + 1, last_at = excluded.last_at'
        : 'ON DUPLICATE KEY UPDATE failures = failures + 1, last_at = VALUES(last_at)'
    for (const subject of asList(subjects)) {
      await db.kysely.executeQuery(
        CompiledQuery.raw(`INSERT INTO bg_login_failure (subject, failures, last_at) VALUES (?, 1, ?) ${again}`, [subject, now]),
      )
    }
  })

/** Those of the subjects that have any. */
export const findLoginFailures = (db: Db, subjects: string | readonly string[]): Promise<LoginFailures[]> =>
  withRetries(async () => {
    const rows = await db.kysely.selectFrom('bg_login_failure').selectAll().where('subject', 'in', asList(subjects)).execute()
    return rows.map(row => ({ subject: row.subject, failures: row.failures, lastAt: Number(row.last_at) }))
  })

export const clearLoginFailures = (db: Db, subjects: string | readonly string[]): Promise<void> =>
  withRetries(async () => {
    await db.kysely.deleteFrom('bg_login_failure').where('subject', 'in', asList(subjects)).execute()
  })

/** Forgets what failed before that moment. */
export const pruneLoginFailures = (db: Db, before: number): Promise<void> =>
  withRetries(async () => {
    await db.kysely.deleteFrom('bg_login_failure').where('last_at', '<', before).execute()
  })

const asList = (subjects: string | readonly string[]): readonly string[] => (typeof subjects === 'string' ? [subjects] : subjects)
