import type { Selectable } from 'kysely'
import type { CallerTransaction, Db } from './database.ts'
import type { TaskFilter } from './list-tasks.ts'
import type { BulkRow } from './tables.ts'
import { type Executor, transact, withRetries } from './transact.ts'

/** What can be done to all tasks that a filter lets through: the first three to loops, the others to ONCE tasks. */
export const bulkActs = ['start', 'stop', 'restart', 'cancellation', 'run', 'deletion'] as const
export type BulkAct = (typeof bulkActs)[number]

/** An act on many tasks, which a task of its own carries out. Times are milliseconds since 1970. */
export interface Bulk {
  /** The task that does it. */
  id: number
  act: BulkAct
  filter: TaskFilter
  /** Only tasks up to this id. */
  upTo: number
  /** As many as the preview told of, or more than that. */
  expected: number
  isAll: boolean
  askedAt: number
  askedBy: string
  /** It undoes what this one did. */
  undoOf: number | null
  undoneBy: number | null
}

/** @param trx the transaction that adds its task */
export const insertBulk = async (trx: CallerTransaction | Executor, bulk: Omit<Bulk, 'undoneBy'>): Promise<void> => {
  await (trx as Executor)
    .insertInto('bg_bulk')
    .values({
      task_id: bulk.id,
      act: bulk.act,
      filter: JSON.stringify(bulk.filter),
      up_to: bulk.upTo,
      expected: bulk.expected,
      is_all: bulk.isAll ? 1 : 0,
      asked_at: bulk.askedAt,
      asked_by: bulk.askedBy,
      undo_of: bulk.undoOf,
      undone_by: null,
    })
    .execute()
}

export const findBulk = (db: Db, id: number): Promise<Bulk | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_bulk').selectAll().where('task_id', '=', id).executeTakeFirst()
    return row ? toBulk(row) : null
  })

/** An act is undone once. @param trx the transaction that adds the task which undoes it @returns false when another does it already */
export const noteUndone = async (trx: CallerTransaction | Executor, id: number, undoneBy: number): Promise<boolean> => {
  const { numUpdatedRows } = await (trx as Executor)
    .updateTable('bg_bulk')
    .set({ undone_by: undoneBy })
    .where('task_id', '=', id)
    .where('undone_by', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Tasks that it has changed, in the order of ids, a slice at a time. @param after id of the last one of the slice before */
export const sliceItems = (db: Db, bulkId: number, { after, atOnce }: { after: number; atOnce: number }): Promise<number[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_bulk_item')
      .select('task_id')
      .where('bulk_id', '=', bulkId)
      .where('task_id', '>', after)
      .orderBy('task_id')
      .limit(atOnce)
      .execute()
    return rows.map(row => Number(row.task_id))
  })

/** Forgets what acts asked for before that moment did: they are not undone any more. To be repeated until it returns 0. @param limit most rows at once */
export const pruneBulk = (db: Db, askedBefore: number, limit: number): Promise<number> =>
  transact(db, async trx => {
    const old = await trx
      .selectFrom('bg_bulk')
      .select('task_id')
      .where('asked_at', '<', askedBefore)
      .orderBy('asked_at')
      .limit(1)
      .executeTakeFirst()
    if (!old) return 0
    const items = await trx
      .selectFrom('bg_bulk_item')
      .select('task_id')
      .where('bulk_id', '=', old.task_id)
      .orderBy('task_id')
      .limit(limit)
      .execute()
    if (items.length > 0)
      await trx.deleteFrom('bg_bulk_item').where('bulk_id', '=', old.task_id).where('task_id', '<=', items.at(-1)!.task_id).execute()
    if (items.length < limit) await trx.deleteFrom('bg_bulk').where('task_id', '=', old.task_id).execute()
    return Math.max(1, items.length)
  })

export const toBulk = (row: Selectable<BulkRow>): Bulk => ({
  id: Number(row.task_id),
  act: row.act as BulkAct,
  filter: JSON.parse(row.filter) as TaskFilter,
  upTo: Number(row.up_to),
  expected: Number(row.expected),
  isAll: Number(row.is_all) === 1,
  askedAt: Number(row.asked_at),
  askedBy: row.asked_by,
  undoOf: row.undo_of === null ? null : Number(row.undo_of),
  undoneBy: row.undone_by === null ? null : Number(row.undone_by),
})
