import { createHash } from 'node:crypto'
import type { CallerTransaction, Db } from './database.ts'
import { isDuplicate } from './is-away.ts'
import { transact, withRetries } from './transact.ts'

/*
 * What was answered to requests that named a key (Idempotency-Key), so that a repeated one is answered alike and adds nothing. Each row is
 * written in the transaction that adds the tasks: there is never one without the other, whatever dies when.
 */

/** Whose key it is, and which. */
export interface RequestKey {
  tokenId: number
  /** SHA-256 of the key, hex: of any length, and nobody reads it here. */
  keyHash: string
}

export interface KeptAnswer {
  bodyHash: string
  status: number
  /** JSON. */
  answer: string
}

/** Somebody was faster: what is kept must be read again. The transaction is undone. */
export class KeyTaken extends Error {}

export const hashRequestKey = (key: string): string => createHash('sha256').update(key).digest('hex')

/** @returns null: no such request was answered yet */
export const findAnswer = (db: Db, key: RequestKey): Promise<KeptAnswer | null> =>
  withRetries(async () => {
    const row = await rowsOf(db.kysely, key).select(['body_hash', 'status', 'answer']).where('first_line', '=', 0).executeTakeFirst()
    return row ? { bodyHash: row.body_hash, status: Number(row.status), answer: row.answer } : null
  })

/** @throws KeyTaken when there is one already */
export const keepAnswer = async (trx: CallerTransaction, key: RequestKey, kept: KeptAnswer, now: number): Promise<void> => {
  try {
    await trx
      .insertInto('bg_request_key')
      .values({ ...columnsOf(key, now), first_line: 0, last_line: 0, body_hash: kept.bodyHash, status: kept.status, answer: kept.answer })
      .execute()
  } catch (error) {
    throw isDuplicate(error) ? new KeyTaken('The key has been answered meanwhile.', { cause: error }) : error
  }
}

/** In place of the hash of a body, for one that is read line by line. */
export const linesBody = 'lines'

/** Begins a request of lines, or goes on with it. @returns how many of its lines are done; null: the key was used for another request */
export const openLines = (db: Db, key: RequestKey, now: number): Promise<number | null> =>
  withRetries(async () => {
    const find = () => rowsOf(db.kysely, key).select(['body_hash', 'last_line']).where('first_line', '=', 0).executeTakeFirst()
    const there = await find()
    if (there) return there.body_hash === linesBody ? Number(there.last_line) : null
    try {
      await db.kysely
        .insertInto('bg_request_key')
        .values({ ...columnsOf(key, now), first_line: 0, last_line: 0, body_hash: linesBody, status: 200, answer: '' })
        .execute()
      return 0
    } catch (error) {
      if (!isDuplicate(error)) throw error
      const made = await find()
      return made?.body_hash === linesBody ? Number(made.last_line) : null
    }
  })

/**
 * Keeps the answers to the lines `first` to `last`, which come right after those that are done.
 * @throws KeyTaken when another request with this key has done some of them
 */
export const keepLines = async (
  trx: CallerTransaction,
  key: RequestKey,
  { first, last, answer }: { first: number; last: number; answer: string },
  now: number,
): Promise<void> => {
  const moved = await trx
    .updateTable('bg_request_key')
    .set({ last_line: last })
    .where('token_id', '=', key.tokenId)
    .where('key_hash', '=', key.keyHash)
    .where('first_line', '=', 0)
    .where('last_line', '=', first - 1)
    .executeTakeFirst()
  if (moved.numUpdatedRows !== 1n) throw new KeyTaken('Another request with this key has gone on.')
  await trx
    .insertInto('bg_request_key')
    .values({ ...columnsOf(key, now), first_line: first, last_line: last, body_hash: linesBody, status: 200, answer })
    .execute()
}

/** The same in a transaction of its own, for lines of which nothing is stored. */
export const keepLinesAlone = (db: Db, key: RequestKey, lines: { first: number; last: number; answer: string }, now: number) =>
  transact(db, trx => keepLines(trx, key, lines, now))

/** What was kept of the lines `first` to `last`, in order: pieces as they were kept, so the first may begin before. */
export const findLines = (
  db: Db,
  key: RequestKey,
  first: number,
  last: number,
): Promise<{ first: number; last: number; answer: string }[]> =>
  withRetries(async () => {
    const rows = await rowsOf(db.kysely, key)
      .select(['first_line', 'last_line', 'answer'])
      .where('first_line', '>', 0)
      .where('first_line', '<=', last)
      .where('last_line', '>=', first)
      .orderBy('first_line')
      .execute()
    return rows.map(row => ({ first: Number(row.first_line), last: Number(row.last_line), answer: row.answer }))
  })

const rowsOf = (from: Pick<Db['kysely'], 'selectFrom'>, { tokenId, keyHash }: RequestKey) =>
  from.selectFrom('bg_request_key').where('token_id', '=', tokenId).where('key_hash', '=', keyHash)

const columnsOf = ({ tokenId, keyHash }: RequestKey, now: number) => ({ token_id: tokenId, key_hash: keyHash, created_at: now })
