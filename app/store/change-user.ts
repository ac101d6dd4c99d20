import type { Transaction } from 'kysely'
import type { Db } from './database.ts'
import { lockUsers } from './lock-users.ts'
import type { Tables } from './tables.ts'
import { transact } from './transact.ts'
import type { User } from './users.ts'

/**
 * Why somebody's role or account was left alone. `gone`: there is no such user. `not-admin`: who asks is no administrator (any more).
 * `yourself`: nobody decides about their own role. `last-admin`: nobody would be left to manage the others.
 */
export type UserRefusal = 'gone' | 'not-admin' | 'yourself' | 'last-admin'

export interface UserChange {
  /** Whom it is about. */
  id: number
  /** The administrator who asks; null: the command line. */
  by: number | null
  /** Milliseconds since 1970. */
  now: number
}

/** What ended with the change. */
export interface ChangedUser {
  /** Hashes of the sessions that were open. */
  sessions: string[]
  /** How many tokens were revoked. */
  tokens: number
}

/** Takes back the tokens that an administrator made, when they become less than that. Sessions stay, and have the new role at their next request. */
export const setRole = (db: Db, { id, by, now, role }: UserChange & { role: User['role'] }): Promise<UserRefusal | ChangedUser> =>
  transact(db, async trx => {
    const user = await lockedUser(db, trx, { id, by, staysAdmin: role === 'admin' })
    if (typeof user === 'string') return user
    await trx.updateTable('bg_user').set({ role }).where('id', '=', id).execute()
    const tokens = role === 'admin' ? 0 : await revokeTokensOf(trx, user.name, user.byName, now)
    return { sessions: await sessionsOf(trx, id, now), tokens }
  })

/** With everything that let them in: sessions, second factor, recovery codes, and the tokens that they made. */
export const removeUser = (db: Db, { id, by, now }: UserChange): Promise<UserRefusal | ChangedUser> => {
  let removed: ChangedUser | undefined
  return transact(db, async (trx, maybeDone) => {
    const user = await lockedUser(db, trx, { id, by, staysAdmin: false })
    if (maybeDone && removed && user === 'gone') return removed
    if (typeof user === 'string') return user
    const sessions = await sessionsOf(trx, id, now)
    await trx.deleteFrom('bg_session').where('user_id', '=', id).execute()
    await trx.deleteFrom('bg_recovery_code').where('user_id', '=', id).execute()
    const tokens = await revokeTokensOf(trx, user.name, user.byName, now)
    await trx.deleteFrom('bg_user').where('id', '=', id).execute()
    removed = { sessions, tokens }
    return removed
  })
}

const lockedUser = async (
  db: Db,
  trx: Transaction<Tables>,
  { id, by, staysAdmin }: { id: number; by: number | null; staysAdmin: boolean },
): Promise<UserRefusal | { name: string; byName: string | null }> => {
  await lockUsers(db, trx)
  const user = await trx.selectFrom('bg_user').select(['name', 'role']).where('id', '=', id).executeTakeFirst()
  if (!user) return 'gone'
  if (id === by) return 'yourself'
  // Asked again in here: two administrators may be demoting each other.
  const asking = by === null ? null : await trx.selectFrom('bg_user').select(['name', 'role']).where('id', '=', by).executeTakeFirst()
  if (asking !== null && asking?.role !== 'admin') return 'not-admin'
  if (user.role === 'admin' && !staysAdmin) {
    const other = await trx.selectFrom('bg_user').select('id').where('role', '=', 'admin').where('id', '<>', id).limit(1).executeTakeFirst()
    if (!other) return 'last-admin'
  }
  return { name: user.name, byName: asking?.name ?? null }
}

const sessionsOf = async (trx: Transaction<Tables>, id: number, now: number): Promise<string[]> => {
  const rows = await trx.selectFrom('bg_session').select('id_hash').where('user_id', '=', id).where('expires_at', '>', now).execute()
  return rows.map(row => row.id_hash)
}

const revokeTokensOf = async (trx: Transaction<Tables>, name: string, byName: string | null, now: number): Promise<number> => {
  const { numUpdatedRows } = await trx
    .updateTable('bg_token')
    .set({ revoked_at: now, revoked_by: byName })
    .where('created_by', '=', name)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}
