import type { Db } from './database.ts'
import { withRetries } from './transact.ts'
import type { User } from './users.ts'

/** A user as the pages about users show one. Times are milliseconds since 1970. */
export interface Person {
  id: number
  name: string
  role: User['role']
  createdAt: number
  passwordChangedAt: number
  /** Whether a second factor is asked for at the login. */
  secondFactor: boolean
  /** When it was turned on, as far as the audit still knows. */
  secondFactorSince: number | null
  /** The newest login that the audit still knows. */
  lastLoginAt: number | null
  /** Open ones. */
  sessions: number
  /** Tokens made by this user that still work. */
  tokens: number
}

/** By name. */
export const listPeople = (db: Db, now: number): Promise<Person[]> =>
  withRetries(async () => (await selectPeople(db, now).orderBy('bg_user.name').execute()).map(toPerson))

export const findPerson = (db: Db, id: number, now: number): Promise<Person | null> =>
  withRetries(async () => {
    const row = await selectPeople(db, now).where('bg_user.id', '=', id).executeTakeFirst()
    return row ? toPerson(row) : null
  })

const selectPeople = (db: Db, now: number) =>
  db.kysely
    .selectFrom('bg_user')
    .select(['bg_user.id', 'bg_user.name', 'bg_user.role', 'bg_user.created_at', 'bg_user.password_changed_at', 'bg_user.totp_secret'])
    .select(row => [
      row
        .selectFrom('bg_audit')
        .select('bg_audit.at')
        .whereRef('bg_audit.user_name', '=', 'bg_user.name')
        .where('bg_audit.act', '=', 'login')
        // Somebody else may have had the name before.
        .whereRef('bg_audit.at', '>=', 'bg_user.created_at')
        .orderBy('bg_audit.id', 'desc')
        .limit(1)
        .as('last_login_at'),
      row
        .selectFrom('bg_audit')
        .select('bg_audit.at')
        .whereRef('bg_audit.user_name', '=', 'bg_user.name')
        .where('bg_audit.act', '=', 'second-factor-on')
        .whereRef('bg_audit.at', '>=', 'bg_user.created_at')
        .orderBy('bg_audit.id', 'desc')
        .limit(1)
        .as('second_factor_at'),
      row
        .selectFrom('bg_session')
        .select(session => session.fn.countAll().as('n'))
        .whereRef('bg_session.user_id', '=', 'bg_user.id')
        .where('bg_session.expires_at', '>', now)
        .as('sessions'),
      row
        .selectFrom('bg_token')
        .select(token => token.fn.countAll().as('n'))
        .whereRef('bg_token.created_by', '=', 'bg_user.name')
        .where('bg_token.revoked_at', 'is', null)
        .where(token => token.or([token('bg_token.expires_at', 'is', null), token('bg_token.expires_at', '>', now)]))
        .as('tokens'),
    ])

const toPerson = (row: Awaited<ReturnType<ReturnType<typeof selectPeople>['execute']>>[number]): Person => ({
  id: Number(row.id),
  name: row.name,
  role: row.role as User['role'],
  createdAt: Number(row.created_at),
  passwordChangedAt: Number(row.password_changed_at),
  secondFactor: row.totp_secret !== null,
  secondFactorSince: row.totp_secret === null || row.second_factor_at === null ? null : Number(row.second_factor_at),
  lastLoginAt: row.last_login_at === null ? null : Number(row.last_login_at),
  sessions: Number(row.sessions),
  tokens: Number(row.tokens),
})
