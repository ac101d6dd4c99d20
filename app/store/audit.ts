import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import type { Selectable } from 'kysely'
import type { CallerTransaction, Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { auditFromIndex } from './from-index.ts'
import type { AuditChainRow, AuditRow } from './tables.ts'
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
 * `link` is a one-time link, `cron-address` the secret one of cron, `token` an API token, `unix-socket` a program that may open our socket; `panel` and `supervisor` are these themselves, asked by nobody.
 */
export type AuditVia =
  | 'form'
  | 'ours'
  | 'weak'
  | 'typed'
  | 'link'
  | 'cron-address'
  | 'token'
  | 'unix-socket'
  | 'command-line'
  | 'panel'
  | 'supervisor'

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
  /** One, or any of these. */
  act?: string | readonly string[]
  subject?: string
  /** From this moment on. */
  since?: number
  /** Before this moment. */
  until?: number
}

/** Newest first. @param page.before only what is older than this id; @param page.after only what is newer, and of that the oldest */
export const listAudit = (db: Db, page: AuditFilter & { limit: number; before?: number; after?: number }): Promise<AuditEntry[]> =>
  withRetries(async () => {
    const upwards = page.after !== undefined
    const { from, to } = await idsAround(db, page)
    const read = async (act: string | null): Promise<AuditEntry[]> => {
      let rows = db.kysely
        .selectFrom(auditFromIndex(db, indexFor(page, act)))
        .selectAll()
        .where('id', '>=', Math.max(from, (page.after ?? 0) + 1))
        .where('id', '<=', Math.min(to, (page.before ?? Number.MAX_SAFE_INTEGER) - 1))
      if (page.userName !== undefined) rows = rows.where('user_name', '=', page.userName)
      if (act !== null) rows = rows.where('act', '=', act)
      if (page.subject !== undefined) rows = rows.where('subject', '=', page.subject)
      if (page.since !== undefined) rows = rows.where('at', '>=', page.since)
      if (page.until !== undefined) rows = rows.where('at', '<', page.until)
      return (
        await rows
          .orderBy('id', upwards ? 'asc' : 'desc')
          .limit(page.limit)
          .execute()
      ).map(toEntry)
    }
    // Each act is one range of an index, in the order of ids; the ends of all of them are the page.
    const acts = page.act === undefined ? [null] : [page.act].flat()
    const found = (await Promise.all(acts.map(read))).flat().sort((a, b) => (upwards ? a.id - b.id : b.id - a.id))
    return found.slice(0, page.limit).sort((a, b) => b.id - a.id)
  })

// Of two indexes that begin alike, the longer one is not in the order of ids when its second column is not given.
const indexFor = ({ subject, userName }: AuditFilter, act: string | null): string | null => {
  if (act !== null) return null
  return subject !== undefined ? 'bg_audit_subject' : userName !== undefined ? 'bg_audit_user' : null
}

/** The clocks of hosts that share a database may differ by so much; `check` warns long before. */
const clocksDifferMs = 60_000

// Ids grow with time but for what the clocks differ, so a span of time is a range of ids: what lies outside need not be read.
const idsAround = async (db: Db, { since, until }: AuditFilter): Promise<{ from: number; to: number }> => {
  const at = (operator: '<' | '>=', moment: number) => db.kysely.selectFrom('bg_audit').select('id').where('at', operator, moment).limit(1)
  const before =
    since === undefined
      ? null
      : await at('<', since - clocksDifferMs)
          .orderBy('at', 'desc')
          .executeTakeFirst()
  const after =
    until === undefined
      ? null
      : await at('>=', until + clocksDifferMs)
          .orderBy('at')
          .executeTakeFirst()
  return { from: before ? Number(before.id) + 1 : 0, to: after ? Number(after.id) - 1 : Number.MAX_SAFE_INTEGER }
}

export interface AuditChainState {
  /** Rows that were read. */
  rows: number
  /** Hash of the last row: who notes it elsewhere can prove later that nothing before it was rewritten. */
  lastHash: string
  /** null: every row is as it was written, none is missing, and none was put in beside the chain. */
  broken: { id: number; why: 'missing' | 'changed' | 'extra' } | null
}

/**
 * Reads the chain, in pieces, and computes it anew.
 * @param options.newest only so many rows of its end, on the word of the one before them. Default: all
 */
export const checkAuditChain = async (db: Db, options: { newest?: number } = {}): Promise<AuditChainState> => {
  for (;;) {
    const chain = await readChain(db)
    const state = await computeChain(db, chain, options.newest ?? Infinity)
    if (state.broken === null) return { ...state, broken: await findExtra(db) }
    // What was pruned while we read is not missing.
    const { first_id: now } = await readChain(db)
    if (Number(now) === Number(chain.first_id)) return state
  }
}

const readChain = (db: Db) =>
  withRetries(() => db.kysely.selectFrom('bg_audit_chain').selectAll().where('one', '=', 1).executeTakeFirstOrThrow())

const computeChain = async (db: Db, chain: Selectable<AuditChainRow>, newest: number): Promise<AuditChainState> => {
  const lastId = Number(chain.last_id)
  const firstId = Math.max(Number(chain.first_id), lastId - newest + 1)
  let hash = firstId === Number(chain.first_id) ? chain.first_hash : await hashAt(db, firstId - 1)
  let next = firstId
  const state = (broken: AuditChainState['broken']) => ({ rows: next - firstId, lastHash: chain.last_hash, broken })
  if (hash === null) return state({ id: firstId - 1, why: 'missing' })
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
    // The embedded database answers without waiting, and others want to be answered meanwhile.
    await breathe()
  }
  return state(hash === chain.last_hash ? null : { id: lastId, why: 'changed' })
}

const hashAt = async (db: Db, id: number): Promise<string | null> =>
  (await withRetries(() => db.kysely.selectFrom('bg_audit').select('hash').where('id', '=', id).executeTakeFirst()))?.hash ?? null

// One statement sees one moment, so that a row which is just being appended is not taken for one too many.
const findExtra = async (db: Db): Promise<AuditChainState['broken']> => {
  for (const [operator, end] of [
    ['<', 'first_id'],
    ['>', 'last_id'],
  ] as const) {
    const row = await withRetries(() =>
      db.kysely
        .selectFrom('bg_audit')
        .select('bg_audit.id')
        .where('bg_audit.id', operator, rows => rows.selectFrom('bg_audit_chain').select(end).where('one', '=', 1))
        .orderBy('bg_audit.id')
        .limit(1)
        .executeTakeFirst(),
    )
    if (row) return { id: Number(row.id), why: 'extra' }
  }
  return null
}

/** Tries to append a row, and takes it back. @throws what keeps rows from being written */
export const tryAudit = async (db: Db): Promise<void> => {
  const takenBack = new Error('taken back')
  try {
    await transact(db, async trx => {
      await appendAudit(db, { at: Date.now(), userName: null, ip: null, via: 'panel', act: 'try', subject: null, detail: null }, trx)
      throw takenBack
    })
  } catch (error) {
    if (error !== takenBack) throw error
  }
}

/**
 * Removes what is older, and appends a row that says so, in one transaction; the chain then begins with the oldest row that stays.
 * @param options.most rows to remove at once: writers wait meanwhile
 * @returns how many were removed
 */
export const pruneAudit = (db: Db, { before, most, now = Date.now() }: { before: number; most: number; now?: number }): Promise<number> =>
  transact(db, async trx => {
    const chain = await forUpdate(db, trx.selectFrom('bg_audit_chain').selectAll().where('one', '=', 1)).executeTakeFirstOrThrow()
    const old = await trx
      .selectFrom('bg_audit')
      .select(['id', 'hash', 'at'])
      .where('id', '<=', Number(chain.last_id))
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
    const said = { act: 'audit-pruned', subject: String(gone.length), detail: `up to row ${last.id}` }
    await appendAudit(db, { at: now, userName: null, ip: null, via: 'supervisor', ...said }, trx)
    return gone.length
  })

/** When the oldest row was written, in milliseconds since 1970; null when there is none. */
export const oldestAuditAt = (db: Db): Promise<number | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_audit').select('at').orderBy('id').limit(1).executeTakeFirst()
    return row ? Number(row.at) : null
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

export const toEntry = (row: Selectable<AuditRow>): AuditEntry => ({
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
