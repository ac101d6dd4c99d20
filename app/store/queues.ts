import type { Db } from './database.ts'
import { countItems, type StoredItem, toItem } from './queue-items.ts'
import { withRetries } from './transact.ts'

/** How a queue stands. */
export interface QueueStand {
  /** Not set aside; counted no further than `countedTo`. */
  waiting: number
  /** Set aside; counted no further than `countedTo`. */
  aside: number
  /** When the oldest that waits was made; null when none does. Milliseconds since 1970. */
  oldestAt: number | null
}

export const countedTo = 10_001

export const queueStand = async (db: Db, queue: string): Promise<QueueStand> => {
  const waiting = await countItems(db, queue, countedTo)
  const aside = await withRetries(() =>
    db.kysely
      .selectFrom(
        db.kysely
          .selectFrom('bg_queue_item')
          .select('id')
          .where('queue', '=', queue)
          .where('aside_at', 'is not', null)
          .limit(countedTo)
          .as('some'),
      )
      .select(({ fn }) => fn.countAll().as('n'))
      .executeTakeFirstOrThrow(),
  )
  const oldest = await withRetries(() =>
    db.kysely
      .selectFrom('bg_queue_item')
      .select('created_at')
      .where('queue', '=', queue)
      .where('aside_at', 'is', null)
      .orderBy('created_at')
      .limit(1)
      .executeTakeFirst(),
  )
  return { waiting, aside: Number(aside.n), oldestAt: oldest ? Number(oldest.created_at) : null }
}

/** Names of all queues that have an item, whether a module still knows them or not. */
export const queuesWithItems = async (db: Db): Promise<string[]> => {
  const names: string[] = []
  for (;;) {
    const last = names.at(-1)
    let rows = db.kysely.selectFrom('bg_queue_item').select('queue')
    if (last !== undefined) rows = rows.where('queue', '>', last)
    // One step in the index for each name, however many items it has.
    const next = await withRetries(() => rows.orderBy('queue').limit(1).executeTakeFirst())
    if (!next || names.length >= 1_000) return names
    names.push(next.queue)
  }
}

/** Newest first. @param page.before the last one seen */
export const listAside = (
  db: Db,
  queue: string,
  page: { limit: number; before?: { asideAt: number; id: number } },
): Promise<(StoredItem & { asideAt: number })[]> =>
  withRetries(async () => {
    let rows = db.kysely.selectFrom('bg_queue_item').selectAll().where('queue', '=', queue).where('aside_at', 'is not', null)
    const { before } = page
    if (before)
      rows = rows
        .where('aside_at', '<=', before.asideAt)
        .where(where => where.or([where('aside_at', '<', before.asideAt), where('id', '<', before.id)]))
    const found = await rows.orderBy('aside_at', 'desc').orderBy('id', 'desc').limit(page.limit).execute()
    return found.map(row => ({ ...toItem(row), asideAt: Number(row.aside_at) }))
  })

export const findItem = (db: Db, id: number): Promise<StoredItem | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_queue_item').selectAll().where('id', '=', id).executeTakeFirst()
    return row ? toItem(row) : null
  })

/** Lets an item that was set aside wait again, as if it had never failed. @returns false when it is not set aside */
export const returnAside = (db: Db, id: number, now: number): Promise<boolean> =>
  withRetries(async maybeDone => {
    const { numUpdatedRows } = await db.kysely
      .updateTable('bg_queue_item')
      .set({ aside_at: null, free_at: now, failures: 0 })
      .where('id', '=', id)
      .where('aside_at', 'is not', null)
      .executeTakeFirst()
    return numUpdatedRows > 0n || (maybeDone && (await findItem(db, id))?.freeAt === now)
  })

/** All of a queue, a thousand in each transaction. @returns how many */
export const returnAllAside = async (db: Db, queue: string, now: number): Promise<number> => {
  let n = 0
  for (;;) {
    const ids = (await listAside(db, queue, { limit: 1_000 })).map(({ id }) => id)
    if (ids.length === 0) return n
    const { numUpdatedRows } = await withRetries(() =>
      db.kysely
        .updateTable('bg_queue_item')
        .set({ aside_at: null, free_at: now, failures: 0 })
        .where('id', 'in', ids)
        .where('aside_at', 'is not', null)
        .executeTakeFirst(),
    )
    n += Number(numUpdatedRows)
  }
}

/** @returns false when it is not set aside */
export const discardAside = (db: Db, id: number): Promise<boolean> =>
  withRetries(async maybeDone => {
    const { numDeletedRows } = await db.kysely
      .deleteFrom('bg_queue_item')
      .where('id', '=', id)
      .where('aside_at', 'is not', null)
      .executeTakeFirst()
    return numDeletedRows > 0n || (maybeDone && (await findItem(db, id)) === null)
  })
