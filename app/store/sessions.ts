import type { Selectable } from 'kysely'
import type { Db } from './database.ts'
import { type By, lockAdmin } from './lock-users.ts'
import type { SessionRow } from './tables.ts'
import { transact, withRetries } from './transact.ts'

/** One login. Only the hash of its id is stored, so that a copy of the database opens no session. Times are milliseconds since 1970. */
export interface Session {
  idHash: string
  /** null before the login. */
  userId: number | null
  data: string
  expiresAt: number
  createdAt: number
  seenAt: number
  /** Where it was last used from. When it is not given, what is stored stays. */
  ip?: string | null
  /** As the browser calls itself, cut to 255 characters. When it is not given, what is stored stays. */
  userAgent?: string | null
}

/** Also one that has expired and was not pruned yet. */
export const findSession = (db: Db, idHash: string): Promise<Session | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_session').selectAll().where('id_hash', '=', idHash).executeTakeFirst()
    return row ? toSession(row) : null
  })

/** Inserts or replaces it; when it was created stays as it was. What was there already and may have been ended meanwhile needs updateSession. */
export const saveSession = (db: Db, session: Session): Promise<void> =>
  withRetries(async () => {
    const changing = fromSession(session)
    const insert = db.kysely.insertInto('bg_session').values({ id_hash: session.idHash, created_at: session.createdAt, ...changing })
    await (db.dialect === 'sqlite'
      ? insert.onConflict(conflict => conflict.column('id_hash').doUpdateSet(changing))
      : insert.onDuplicateKeyUpdate(changing)
    ).execute()
  })

/** Only if it is still there: a request that was under way when its session was ended must not bring it back. */
export const updateSession = (db: Db, session: Omit<Session, 'createdAt'>): Promise<void> =>
  withRetries(async () => {
    await db.kysely.updateTable('bg_session').set(fromSession(session)).where('id_hash', '=', session.idHash).execute()
  })

/** Notes a visit, and nothing else: what other requests of the session have stored stays, and one that was ended stays ended. */
export const touchSession = (db: Db, idHash: string, { seenAt, expiresAt }: Pick<Session, 'seenAt' | 'expiresAt'>): Promise<void> =>
  withRetries(async () => {
    await db.kysely.updateTable('bg_session').set({ seen_at: seenAt, expires_at: expiresAt }).where('id_hash', '=', idHash).execute()
  })

/** Those of a user that are open, the one used last first. @param page.limit how many at most */
export const listSessions = (db: Db, userId: number, page: { now: number; limit: number }): Promise<Session[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_session')
      .selectAll()
      .where('user_id', '=', userId)
      .where('expires_at', '>', page.now)
      .orderBy('seen_at', 'desc')
      .limit(page.limit)
      .execute()
    return rows.map(toSession)
  })

export const deleteSession = (db: Db, idHash: string): Promise<void> =>
  withRetries(async () => {
    await db.kysely.deleteFrom('bg_session').where('id_hash', '=', idHash).execute()
  })

/**
 * Only one of that user's.
 * @param by the administrator who asks, about somebody else; absent: they themselves
 * @returns whether there was one
 * @throws NotAdmin
 */
export const deleteSessionOf = (db: Db, userId: number, idHash: string, by?: By): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    await lockAdmin(db, trx, by)
    const { numDeletedRows } = await trx
      .deleteFrom('bg_session')
      .where('id_hash', '=', idHash)
      .where('user_id', '=', userId)
      .executeTakeFirst()
    return numDeletedRows > 0n || maybeDone
  })

/**
 * @param exceptHash the one that goes on @param by as of deleteSessionOf
 * @returns the hashes of those that were there
 * @throws NotAdmin
 */
export const deleteSessionsOf = (db: Db, userId: number, exceptHash?: string, by?: By): Promise<string[]> => {
  const ended = new Set<string>()
  return transact(db, async trx => {
    await lockAdmin(db, trx, by)
    const rows = await trx.selectFrom('bg_session').select('id_hash').where('user_id', '=', userId).execute()
    for (const { id_hash } of rows) if (id_hash !== exceptHash) ended.add(id_hash)
    const sessions = trx.deleteFrom('bg_session').where('user_id', '=', userId)
    await (exceptHash ? sessions.where('id_hash', '<>', exceptHash) : sessions).execute()
    return [...ended]
  })
}

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
  ip: row.ip,
  userAgent: row.user_agent,
})

const fromSession = (session: Omit<Session, 'createdAt'>) => ({
  user_id: session.userId,
  data: session.data,
  expires_at: session.expiresAt,
  seen_at: session.seenAt,
  ...(session.ip === undefined ? {} : { ip: session.ip }),
  ...(session.userAgent === undefined ? {} : { user_agent: session.userAgent === null ? null : fitting(session.userAgent) }),
})

/** What an agent calls itself is anybody's text: no more of it than its column holds, and nothing that no database takes. */
const fitting = (userAgent: string) =>
  userAgent
    .replace(/\p{Cc}/gu, '')
    .toWellFormed()
    .slice(0, 255)
    .toWellFormed()
