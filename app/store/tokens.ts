import type { Selectable } from 'kysely'
import type { Db } from './database.ts'
import { type By, lockAdmin } from './lock-users.ts'
import type { TokenRow } from './tables.ts'
import { transact, withRetries } from './transact.ts'

/** A token for programs. Of its secret half only the hash is stored. Times are milliseconds since 1970. */
export interface Token {
  id: number
  name: string
  /** SHA-256 of the secret half, hex. */
  hash: string
  scopes: string[]
  /** Who made it, as the audit names them. */
  createdBy: string
  createdAt: number
  /** null: never. */
  expiresAt: number | null
  /** Noted at most once a minute. */
  lastUsedAt: number | null
  lastUsedIp: string | null
  revokedAt: number | null
  revokedBy: string | null
}
export type NewToken = Pick<Token, 'name' | 'hash' | 'scopes' | 'createdBy' | 'createdAt' | 'expiresAt'>

/** @returns its id @throws NotAdmin */
export const insertToken = (db: Db, token: NewToken, by?: By): Promise<number> =>
  transact(db, async (trx, maybeDone) => {
    await lockAdmin(db, trx, by)
    // No two secrets have one hash, so it finds the row whatever way the database gives out ids.
    const own = trx.selectFrom('bg_token').select('id').where('token_hash', '=', token.hash)
    const there = maybeDone ? await own.executeTakeFirst() : undefined
    if (there) return Number(there.id)
    await trx
      .insertInto('bg_token')
      .values({
        name: token.name,
        token_hash: token.hash,
        scopes: JSON.stringify(token.scopes),
        created_by: token.createdBy,
        created_at: token.createdAt,
        expires_at: token.expiresAt,
      })
      .execute()
    return Number((await own.executeTakeFirstOrThrow()).id)
  })

/** Also one that is revoked or has expired. */
export const findToken = (db: Db, id: number): Promise<Token | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_token').selectAll().where('id', '=', id).executeTakeFirst()
    return row ? toToken(row) : null
  })

/** Newest first. @param page.before the id of the last one seen */
export const listTokens = (db: Db, page: { limit: number; before?: number }): Promise<Token[]> =>
  withRetries(async () => {
    let rows = db.kysely.selectFrom('bg_token').selectAll()
    if (page.before !== undefined) rows = rows.where('id', '<', page.before)
    return (await rows.orderBy('id', 'desc').limit(page.limit).execute()).map(toToken)
  })

/** Notes that it was used, unless that was noted within the last `everyMs`. */
export const noteTokenUse = (db: Db, id: number, use: { at: number; ip: string; everyMs: number }): Promise<void> =>
  withRetries(async () => {
    await db.kysely
      .updateTable('bg_token')
      .set({ last_used_at: use.at, last_used_ip: use.ip.slice(0, 64) })
      .where('id', '=', id)
      .where(where => where.or([where('last_used_at', 'is', null), where('last_used_at', '<=', use.at - use.everyMs)]))
      .execute()
  })

/** It opens nothing from now on. @returns false when it was revoked before, or is not there @throws NotAdmin */
export const revokeToken = (db: Db, id: number, by: string, now: number, asking?: By): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    await lockAdmin(db, trx, asking)
    const changed = await trx
      .updateTable('bg_token')
      .set({ revoked_at: now, revoked_by: by })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .executeTakeFirst()
    if (changed.numUpdatedRows > 0n || !maybeDone) return changed.numUpdatedRows > 0n
    const there = await trx.selectFrom('bg_token').select(['revoked_at', 'revoked_by']).where('id', '=', id).executeTakeFirst()
    return there?.revoked_by === by && Number(there.revoked_at) === now
  })

const toToken = (row: Selectable<TokenRow>): Token => ({
  id: Number(row.id),
  name: row.name,
  hash: row.token_hash,
  scopes: JSON.parse(row.scopes) as string[],
  createdBy: row.created_by,
  createdAt: Number(row.created_at),
  expiresAt: row.expires_at === null ? null : Number(row.expires_at),
  lastUsedAt: row.last_used_at === null ? null : Number(row.last_used_at),
  lastUsedIp: row.last_used_ip,
  revokedAt: row.revoked_at === null ? null : Number(row.revoked_at),
  revokedBy: row.revoked_by,
})
