import type { Selectable } from 'kysely'
import type { Db } from './database.ts'
import type { OnceLinkRow } from './tables.ts'
import { withRetries } from './transact.ts'

/** A link that works once: only the hash of its token is stored. Times are milliseconds since 1970. */
export interface OnceLink {
  tokenHash: string
  /** What it opens, e.g. `first-user`. */
  purpose: string
  expiresAt: number
  usedAt: number | null
  detail: string | null
}

export const insertOnceLink = (
  db: Db,
  link: Pick<OnceLink, 'tokenHash' | 'purpose' | 'expiresAt'> & { detail?: string | null },
): Promise<void> =>
  withRetries(async maybeDone => {
    if (maybeDone && (await findOnceLink(db, link.tokenHash))) return
    await db.kysely
      .insertInto('bg_once_link')
      .values({ token_hash: link.tokenHash, purpose: link.purpose, expires_at: link.expiresAt, used_at: null, detail: link.detail ?? null })
      .execute()
  })

/** Uses it up. Of several who try, one succeeds. @returns null when it is unknown, used, expired, or for another purpose */
export const useOnceLink = async (db: Db, tokenHash: string, purpose: string, now: number): Promise<OnceLink | null> => {
  // Not tried again: after a broken connection it may be used up, and a used link must not open.
  const { numUpdatedRows } = await db.kysely
    .updateTable('bg_once_link')
    .set({ used_at: now })
    .where('token_hash', '=', tokenHash)
    .where('purpose', '=', purpose)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return numUpdatedRows === 1n ? findOnceLink(db, tokenHash) : null
}

/** Also one that is used or has expired. */
export const findOnceLink = (db: Db, tokenHash: string): Promise<OnceLink | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_once_link').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst()
    return row ? toOnceLink(row) : null
  })

/** Removes those that expired before that moment. */
export const pruneOnceLinks = (db: Db, before: number): Promise<void> =>
  withRetries(async () => {
    await db.kysely.deleteFrom('bg_once_link').where('expires_at', '<', before).execute()
  })

const toOnceLink = (row: Selectable<OnceLinkRow>): OnceLink => ({
  tokenHash: row.token_hash,
  purpose: row.purpose,
  expiresAt: Number(row.expires_at),
  usedAt: row.used_at === null ? null : Number(row.used_at),
  detail: row.detail,
})
