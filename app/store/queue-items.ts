import { randomBytes } from 'node:crypto'
import { CompiledQuery, type Selectable } from 'kysely'
import type { Json } from '../task/task.ts'
import { readCron, underCronLock } from './cron.ts'
import type { CallerTransaction, Db } from './database.ts'
import type { QueueItemRow } from './tables.ts'
import { type Executor, withRetries } from './transact.ts'

/** An item as it lies in its queue. Times are milliseconds since 1970. */
export interface StoredItem {
  id: number
  queue: string
  data: Json
  createdAt: number
  /** Who holds it may delete and release it with this, until somebody else has claimed it. */
  claim: string | null
  /** null: it is set aside. */
  freeAt: number | null
  /** Tries of cron runs that failed. */
  failures: number
  failedAt: number | null
  error: string | null
  asideAt: number | null
}

/** @param trx the caller's own: stored when that commits, and never retried here */
export const insertItem = async (
  db: Db,
  { queue, data, now, freeAt = now }: { queue: string; data: Json; now: number; freeAt?: number },
  trx?: CallerTransaction,
): Promise<number> => {
  // Known before it is stored, so that after a broken connection we can see whether it is there.
  const claim = randomBytes(12).toString('base64url')
  const values = { queue, data: JSON.stringify(data), created_at: now, free_at: freeAt, claim }
  const find = (executor: Executor) =>
    executor
      .selectFrom('bg_queue_item')
      .select('id')
      .where('queue', '=', queue)
      .where('free_at', '=', freeAt)
      .where('claim', '=', claim)
      .executeTakeFirst()
  const insert = async (executor: Executor, maybeDone: boolean): Promise<number> => {
    const there = maybeDone ? await find(executor) : undefined
    if (there) return Number(there.id)
    const { insertId } = await executor.insertInto('bg_queue_item').values(values).executeTakeFirstOrThrow()
    return Number(insertId)
  }
  return trx ? insert(trx.withoutPlugins() as unknown as Executor, false) : withRetries(maybeDone => insert(db.kysely, maybeDone))
}

/** Where a run is in a queue: it sees no item twice, and meets those that failed only in a later run. */
export interface QueuePlace {
  freeAt: number
  id: number
}

/** Candidates read at once: of several who claim, the one that comes second takes the next. */
const candidates = 10

/**
 * Takes the item that has been free for longest, by one conditional update: of several who try, one gets it.
 * @param options.cron token of the lock of cron, for its run: the try is counted as failed until it is known to be none, and nothing is claimed when
 * another process has the lock by now
 * @param options.after only what lies behind this place
 * @returns null when none is free
 */
export const claimItem = async (
  db: Db,
  queue: string,
  { now, leaseMs, cron, after }: { now: number; leaseMs: number; cron?: string; after?: QueuePlace },
): Promise<(StoredItem & { place: QueuePlace }) | null> => {
  for (;;) {
    const seen = await withRetries(() => listFree(db, queue, now, after))
    for (const row of seen) {
      const claimed = await claimRow(db, row, { until: now + leaseMs, cron })
      if (claimed) return { ...claimed, place: { freeAt: Number(row.free_at), id: Number(row.id) } }
    }
    // All of them went to others: there may be more.
    if (seen.length < candidates) return null
    if (cron !== undefined && (await readCron(db)).lock?.token !== cron) return null
  }
}

const listFree = async (db: Db, queue: string, now: number, after?: QueuePlace) => {
  let rows = db.kysely.selectFrom('bg_queue_item').selectAll().where('queue', '=', queue).where('free_at', '<=', now)
  if (after)
    rows = rows
      .where('free_at', '>=', after.freeAt)
      .where(where => where.or([where('free_at', '>', after.freeAt), where('id', '>', after.id)]))
  return rows.orderBy('free_at').orderBy('id').limit(candidates).execute()
}

const claimRow = async (
  db: Db,
  row: Selectable<QueueItemRow>,
  { until, cron }: { until: number; cron: string | undefined },
): Promise<StoredItem | null> => {
  const claim = randomBytes(12).toString('base64url')
  const holder = cron === undefined ? null : 'cron'
  const failures = Number(row.failures) + (cron === undefined ? 0 : 1)
  const taken = await withRetries(async maybeDone => {
    const { numUpdatedRows } = await db.kysely
      .updateTable('bg_queue_item')
      .set({ free_at: until, claim, holder, failures })
      .where('id', '=', Number(row.id))
      .where('free_at', '=', Number(row.free_at))
      .where('claim', row.claim === null ? 'is' : '=', row.claim)
      .$if(cron !== undefined, update =>
        update.where(({ exists, selectFrom }) =>
          exists(selectFrom('bg_cron').select('one').where('one', '=', 1).where('lock_token', '=', cron!)),
        ),
      )
      .executeTakeFirst()
    if (numUpdatedRows > 0n || !maybeDone) return numUpdatedRows > 0n
    const there = await db.kysely.selectFrom('bg_queue_item').select('claim').where('id', '=', Number(row.id)).executeTakeFirst()
    return there?.claim === claim
  })
  return taken ? { ...toItem(row), claim, freeAt: until, failures } : null
}

/** @returns false when somebody else has claimed it since, or it is gone */
export const deleteItem = (db: Db, { id, claim }: Held): Promise<boolean> =>
  withRetries(async maybeDone => {
    const { numDeletedRows } = await db.kysely
      .deleteFrom('bg_queue_item')
      .where('id', '=', id)
      .where('claim', '=', claim)
      .executeTakeFirst()
    if (numDeletedRows > 0n || !maybeDone) return numDeletedRows > 0n
    return !(await db.kysely.selectFrom('bg_queue_item').select('id').where('id', '=', id).executeTakeFirst())
  })

/** What lets one change an item: who claims it after us takes that away. */
export type Held = Pick<StoredItem, 'id'> & { claim: string }

/** Puts it back. @param more.freeAt from when on; @param more.failures as they count now @returns as deleteItem */
export const putBack = (
  db: Db,
  { id, claim }: Held,
  more: { freeAt: number; failures?: number; error?: string | null; failedAt?: number | null },
): Promise<boolean> =>
  change(
    db,
    { id, claim },
    {
      free_at: more.freeAt,
      holder: null,
      ...(more.failures === undefined ? {} : { failures: more.failures }),
      ...(more.error === undefined ? {} : { error: more.error }),
      ...(more.failedAt === undefined ? {} : { failed_at: more.failedAt }),
    },
  )

/** Nobody gets it any more until somebody puts it back. @returns as deleteItem */
export const setAside = (db: Db, held: Held, { now, error }: { now: number; error?: string }): Promise<boolean> =>
  change(db, held, { free_at: null, holder: null, aside_at: now, ...(error === undefined ? {} : { error, failed_at: now }) })

const change = (
  db: Db,
  { id, claim }: Held,
  set: Partial<Omit<QueueItemRow, 'id' | 'failures'>> & { failures?: number },
): Promise<boolean> => {
  // Another claim, so that it is changed once, also when the answer to the first try was lost.
  const after = randomBytes(12).toString('base64url')
  return withRetries(async maybeDone => {
    const { numUpdatedRows } = await db.kysely
      .updateTable('bg_queue_item')
      .set({ ...set, claim: after })
      .where('id', '=', id)
      .where('claim', '=', claim)
      .executeTakeFirst()
    if (numUpdatedRows > 0n || !maybeDone) return numUpdatedRows > 0n
    const there = await db.kysely.selectFrom('bg_queue_item').select('claim').where('id', '=', id).executeTakeFirst()
    return there?.claim === after
  })
}

/**
 * What a cron run held that has died: free at once, and behind all others, since the item itself may have been the reason.
 * Only for who holds the lock of cron.
 * @throws CronLockLost
 */
export const freeHeldByCron = (db: Db, token: string, now: number): Promise<number> =>
  underCronLock(db, token, async trx => {
    const { numUpdatedRows } = await trx
      .updateTable('bg_queue_item')
      .set({ free_at: now, holder: null, failed_at: now, error: 'The process of the cron run ended while it was worked on.' })
      .where('holder', '=', 'cron')
      .executeTakeFirst()
    return Number(numUpdatedRows)
  })

/** Items that are not set aside, held ones among them. @param atMost counts no further */
export const countItems = async (db: Db, queue: string, atMost?: number): Promise<number> => {
  const sql =
    atMost === undefined
      ? 'SELECT COUNT(*) AS n FROM bg_queue_item WHERE queue = ? AND aside_at IS NULL'
      : `SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM bg_queue_item WHERE queue = ? AND aside_at IS NULL LIMIT ${atMost}) AS some`
  const { rows } = await withRetries(() => db.kysely.executeQuery<{ n: number }>(CompiledQuery.raw(sql, [queue])))
  return Number(rows[0]!.n)
}

export const toItem = (row: Selectable<QueueItemRow>): StoredItem => ({
  id: Number(row.id),
  queue: row.queue,
  data: JSON.parse(row.data) as Json,
  createdAt: Number(row.created_at),
  claim: row.claim,
  freeAt: row.free_at === null ? null : Number(row.free_at),
  failures: Number(row.failures),
  failedAt: row.failed_at === null ? null : Number(row.failed_at),
  error: row.error,
  asideAt: row.aside_at === null ? null : Number(row.aside_at),
})
