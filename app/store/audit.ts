import { createHash } from 'node:crypto'
import type { Selectable } from 'kysely'
import type { CallerTransaction, Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import type { AuditRow } from './tables.ts'
import { transact, withRetries } from './transact.ts'

/** Who did what, when, and by which kind of request. */
export interface AuditEntry {
  /** Numbered from 1 without gaps. */
  id: number
  /** Milliseconds since 1970. */
  at: number
  /** null: nobody was signed in. */
  userName: string | null
  /** null: at a command line, or the panel itself. */
  ip: string | null
  via: AuditVia
  /** A word for the act, e.g. `task-cancellation`. */
  act: string
  /** What it was done to. */
  subject: string | null
  detail: string | null
  /** Covers this row and the hash of the one before. */
  hash: string
}

/**
 * The kind of request: `form` is a POST of our own page; `ours`, `weak` and `typed` are visits (GET) that act, by where they came from;
 * `link` is a one-time link, `token` an API token, `panel` the panel itself.
 */
export type AuditVia = 'form' | 'ours' | 'weak' | 'typed' | 'link' | 'token' | 'command-line' | 'panel'

export type NewAuditEntry = Omit<AuditEntry, 'id' | 'hash'>

/**
 * Appends one row to the chain. Writers come one after the other: each locks the row in which the chain ends.
 * @param trx the caller's transaction; it should do nothing more than this afterwards, since others wait for its end
 */
export const appendAudit = (db: Db, given: NewAuditEntry, trx?: CallerTransaction): Promise<void> =>
  // Rather twice than never: after a broken connection it is written again.
  transact(
    db,
    async begun => {
      const entry = fitting(given)
      const chain = await forUpdate(db, begun.selectFrom('bg_audit_chain').selectAll().where('one', '=', 1)).executeTakeFirstOrThrow()
      const id = Number(chain.last_id) + 1
      const hash = hashOf(chain.last_hash, id, entry)
      const { at, userName, ip, via, act, subject, detail } = entry
      await begun.insertInto('bg_audit').values({ id, at, user_name: userName, ip, via, act, subject, detail, hash }).execute()
      await begun.updateTable('bg_audit_chain').set({ last_id: id, last_hash: hash }).where('one', '=', 1).execute()
    },
    trx,
  )

export interface AuditFilter {
  userName?: string
  act?: string
  subject?: string
  /** From this moment on. */
  since?: number
  /** Before this moment. */
  until?: number
}

/** Newest first. @param page.before the id of the last one seen */
export const listAudit = (db: Db, page: AuditFilter & { limit: number; before?: number }): Promise<AuditEntry[]> =>
  withRetries(async () => {
    let rows = db.kysely.selectFrom('bg_audit').selectAll()
    if (page.before !== undefined) rows = rows.where('id', '<', page.before)
    if (page.userName !== undefined) rows = rows.where('user_name', '=', page.userName)
    if (page.act !== undefined) rows = rows.where('act', '=', page.act)
    if (page.subject !== undefined) rows = rows.where('subject', '=', page.subject)
    if (page.since !== undefined) rows = rows.where('at', '>=', page.since)
    if (page.until !== undefined) rows = rows.where('at', '<', page.until)
    return (await rows.orderBy('id', 'desc').limit(page.limit).execute()).map(toEntry)
  })

export interface AuditChainState {
  /** Rows that were read. */
  rows: number
  /** Hash of the last row: who notes it elsewhere can prove later that nothing before it was rewritten. */
  lastHash: string
  /** null: every row is as it was written, and none is missing. */
  broken: { id: number; why: 'missing' | 'changed' } | null
}

/** Reads the whole chain, in pieces, and computes it anew. */
export const checkAuditChain = async (db: Db): Promise<AuditChainState> => {
  const chain = await withRetries(() => db.kysely.selectFrom('bg_audit_chain').selectAll().where('one', '=', 1).executeTakeFirstOrThrow())
  const lastId = Number(chain.last_id)
  let hash = chain.first_hash
  let next = Number(chain.first_id)
  const state = (broken: AuditChainState['broken']) => ({ rows: next - Number(chain.first_id), lastHash: chain.last_hash, broken })
  while (next <= lastId) {
    const rows = await withRetries(() =>
      db.kysely.selectFrom('bg_audit').selectAll().where('id', '>=', next).where('id', '<=', lastId).orderBy('id').limit(2_000).execute(),
    )
    for (const row of rows) {
      const entry = toEntry(row)
      if (entry.id !== next) return state({ id: next, why: 'missing' })
      hash = hashOf(hash, entry.id, entry)
      if (hash !== entry.hash) return state({ id: entry.id, why: 'changed' })
      next++
    }
    if (rows.length === 0) return state({ id: next, why: 'missing' })
  }
  return state(hash === chain.last_hash ? null : { id: lastId, why: 'changed' })
}

/** Removes what is older; the chain begins with the oldest row that stays. The newest row always stays. @returns how many were removed */
export const pruneAudit = (db: Db, before: number, most: number): Promise<number> =>
  transact(db, async trx => {
    const chain = await forUpdate(db, trx.selectFrom('bg_audit_chain').selectAll().where('one', '=', 1)).executeTakeFirstOrThrow()
    const old = await trx
      .selectFrom('bg_audit')
      .select(['id', 'hash', 'at'])
      .where('id', '<', Number(chain.last_id))
      .orderBy('id')
      .limit(most)
      .execute()
    const kept = old.findIndex(row => Number(row.at) >= before)
    const gone = kept === -1 ? old : old.slice(0, kept)
    const last = gone.at(-1)
    if (!last) return 0
    await trx.deleteFrom('bg_audit').where('id', '<=', Number(last.id)).execute()
    await trx
      .updateTable('bg_audit_chain')
      .set({ first_id: Number(last.id) + 1, first_hash: last.hash })
      .where('one', '=', 1)
      .execute()
    return gone.length
  })

const hashOf = (before: string, id: number, { at, userName, ip, via, act, subject, detail }: NewAuditEntry): string =>
  createHash('sha256')
    .update(JSON.stringify([before, id, at, userName, ip, via, act, subject, detail]))
    .digest('hex')

// Before it is hashed, so that what is read back is what was hashed.
const fitting = (entry: NewAuditEntry): NewAuditEntry => ({
  ...entry,
  at: Math.trunc(entry.at),
  userName: cut(entry.userName, 64),
  ip: cut(entry.ip, 64),
  act: entry.act.slice(0, 64),
  subject: cut(entry.subject, 255),
  detail: cut(entry.detail, 65_000),
})

const cut = (text: string | null, length: number) =>
  text === null ? null : text.slice(0, length).replaceAll('\0', '\ufffd').toWellFormed()

const toEntry = (row: Selectable<AuditRow>): AuditEntry => ({
  id: Number(row.id),
  at: Number(row.at),
  userName: row.user_name,
  ip: row.ip,
  via: row.via as AuditVia,
  act: row.act,
  subject: row.subject,
  detail: row.detail,
  hash: row.hash,
})
