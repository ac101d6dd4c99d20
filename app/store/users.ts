import type { Selectable } from 'kysely'
import { BgtaskError } from '../errors.ts'
import { told } from '../task/told.ts'
import type { Db } from './database.ts'
import { isDuplicate } from './is-away.ts'
import { type By, lockAdmin, lockUsers } from './lock-users.ts'
import type { UserRow } from './tables.ts'
import { transact, withRetries } from './transact.ts'

export interface User {
  id: number
  name: string
  passwordHash: string
  role: 'viewer' | 'operator' | 'admin'
  createdAt: number
  passwordChangedAt: number
  /** Of the second factor, base32; null: it is off. */
  totpSecret: string | null
}
export type NewUser = Omit<User, 'id' | 'passwordChangedAt' | 'totpSecret'>

/** @throws NotAdmin @throws BgtaskError `conflict` when the name is taken */
export const insertUser = async (db: Db, user: NewUser, by?: By): Promise<void> => {
  try {
    await transact(db, async (trx, maybeDone) => {
      await lockAdmin(db, trx, by)
      if (maybeDone) {
        const there = await trx.selectFrom('bg_user').select('password_hash').where('name', '=', user.name).executeTakeFirst()
        if (there?.password_hash === user.passwordHash) return
      }
      await trx.insertInto('bg_user').values(fromUser(user)).execute()
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new BgtaskError('conflict', told`There is a user ${user.name} already. Choose another name, or change that one's password.`, {
      cause: error,
    })
  }
}

/** Only while there is no user at all: of several who try, one succeeds. @returns whether it was this one */
export const insertFirstUser = (db: Db, user: NewUser): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    // Before anything is read: what others did until then has to be seen.
    await lockUsers(db, trx)
    if (maybeDone) {
      const there = await trx.selectFrom('bg_user').select('password_hash').where('name', '=', user.name).executeTakeFirst()
      if (there?.password_hash === user.passwordHash) return true
    }
    if (await trx.selectFrom('bg_user').select('id').limit(1).executeTakeFirst()) return false
    await trx.insertInto('bg_user').values(fromUser(user)).execute()
    return true
  })

export const findUser = (db: Db, name: string): Promise<User | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_user').selectAll().where('name', '=', name).executeTakeFirst()
    return row ? toUser(row) : null
  })

export const findUserById = (db: Db, id: number): Promise<User | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_user').selectAll().where('id', '=', id).executeTakeFirst()
    return row ? toUser(row) : null
  })

/** By name. */
export const listUsers = (db: Db): Promise<User[]> =>
  withRetries(async () => (await db.kysely.selectFrom('bg_user').selectAll().orderBy('name').execute()).map(toUser))

/**
 * Also ends the user's sessions, except the one in which it was done.
 * @param by when it is somebody else's
 * @returns false when there is no such user
 * @throws NotAdmin
 */
export const setPassword = (db: Db, name: string, passwordHash: string, now: number, exceptSession?: string, by?: By): Promise<boolean> =>
  transact(db, async trx => {
    await lockAdmin(db, trx, by)
    const user = await trx.selectFrom('bg_user').select('id').where('name', '=', name).executeTakeFirst()
    if (!user) return false
    await trx.updateTable('bg_user').set({ password_hash: passwordHash, password_changed_at: now }).where('id', '=', user.id).execute()
    const sessions = trx.deleteFrom('bg_session').where('user_id', '=', user.id)
    await (exceptSession ? sessions.where('id_hash', '<>', exceptSession) : sessions).execute()
    return true
  })

/** The same password under a costlier hash: no session ends, and nothing is done when the password was changed meanwhile. */
export const replaceHash = (db: Db, id: number, from: string, to: string): Promise<void> =>
  withRetries(async () => {
    await db.kysely.updateTable('bg_user').set({ password_hash: to }).where('id', '=', id).where('password_hash', '=', from).execute()
  })

export const anyUser = (db: Db): Promise<boolean> =>
  withRetries(async () => (await db.kysely.selectFrom('bg_user').select('id').limit(1).executeTakeFirst()) !== undefined)

const toUser = (row: Selectable<UserRow>): User => ({
  id: Number(row.id),
  name: row.name,
  passwordHash: row.password_hash,
  role: row.role as User['role'],
  createdAt: Number(row.created_at),
  passwordChangedAt: Number(row.password_changed_at),
  totpSecret: row.totp_secret,
})

const fromUser = ({ name, passwordHash, role, createdAt }: NewUser) => ({
  name,
  password_hash: passwordHash,
  role,
  created_at: createdAt,
  password_changed_at: createdAt,
})
