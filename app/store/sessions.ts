import type { Selectable } from 'kysely'
import type { Db } from './database.ts'
import type { SessionRow } from './tables.ts'
import { withRetries } from './transact.ts'

/** One login. Only the hash of its id is stored, so that a copy of the database opens no session. Times are milliseconds since 1970. */
export interface Session {
  idHash: string
  /** null before the login. */
  userId: number | null
  data: string
  expiresAt: number
  createdAt: number
  seenAt: number
}

/** Also one that has expired and was not pruned yet. */
export const findSession = (db: Db, idHash: string): Promise<Session | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_session').selectAll().where('id_hash', '=', idHash).executeTakeFirst()
    return row ? toSession(row) : null
  })

/** Inserts or replaces it; when it was created stays as it was. */
export const saveSession = (db: Db, session: Session): Promise<void> =>
  withRetries(async () => {
    const changing = { user_id: session.userId, data: session.data, expires_at: session.expiresAt, seen_at: session.seenAt }
    const insert = db.kysely.insertInto('bg_session').values({ id_hash: session.idHash, created_at: session.createdAt, ...changing })
    await (db.dialect === 'sqlite'
      ? insert.onConflict(conflict => conflict.column('id_hash').doUpdateSet(changing))
      : insert.onDuplicateKeyUpdate(changing)
    ).execute()
  })

export const deleteSession = (db: Db, idHash: string): Promise<void> =>
  withRetries(async () => {
    await db.kysely.deleteFrom('bg_session').where('id_hash', '=', idHash).execute()
  })

/** @returns how many ended */
export const deleteSessionsOf = (db: Db, userId: number, exceptHash?: string): Promise<number> =>
  withRetries(async () => {
    const sessions = db.kysely.deleteFrom('bg_session').where('user_id', '=', userId)
    const { numDeletedRows } = await (exceptHash ? sessions.where('id_hash', '<>', exceptHash) : sessions).executeTakeFirst()
    return Number(numDeletedRows)
  })

/** Removes what has expired. @returns how many */
export const pruneSessions = (db: Db, now: number): Promise<number> =>
  withRetries(async () => {
    const { numDeletedRows } = await db.kysely.deleteFrom('bg_session').where('expires_at', '<=', now).executeTakeFirst()
    return Number(numDeletedRows)
  })

const toSession = (row: Selectable<SessionRow>): Session => ({
  idHash: row.id_hash,
  userId: row.user_id === null ? null : Number(row.user_id),
  data: row.data,
  expiresAt: Number(row.expires_at),
  createdAt: Number(row.created_at),
  seenAt: Number(row.seen_at),
})
