import { CompiledQuery, type Selectable } from 'kysely'
import type { Task } from '../task/task.ts'
import { type Bulk, toBulk } from './bulk.ts'
import type { Db } from './database.ts'
import type { BulkRow } from './tables.ts'
import { withRetries } from './transact.ts'

/** Acts on many that are looked through. Each is a person's, and they are kept for days: only the oldest of very many would be missed. */
const mostLookedThrough = 200

/** Clocks of hosts may differ by that. */
const clocksMs = 3_600_000

/** An act on many tasks that changed this one; `undone` is the one which it put back. */
export interface TaskBulk extends Bulk {
  undone: Bulk | null
}

/**
 * The newest acts on many that changed a task, newest first. Nothing is kept by task, since that would make each act on a million tasks write a million
 * entries more: for each of the acts since the task was added, the primary key says whether the task is among its own.
 */
export const listTaskBulks = (db: Db, { id, createdAt }: Pick<Task, 'id' | 'createdAt'>, limit: number): Promise<TaskBulk[]> =>
  withRetries(async () => {
    const from = (table: string, index: string) => (db.dialect === 'mysql' ? `${table} FORCE INDEX (${index})` : table)
    const newest = `SELECT * FROM ${from('bg_bulk', 'bg_bulk_asked')} WHERE asked_at >= ? ORDER BY asked_at DESC LIMIT ${mostLookedThrough}`
    // A left join keeps to the order: act by act, never through all that they changed.
    const sql = `SELECT b.*, i.task_id AS changed FROM (${newest}) AS b LEFT JOIN ${from('bg_bulk_item AS i', 'PRIMARY')} ON i.bulk_id = b.task_id AND i.task_id = ?`
    const values = [createdAt - clocksMs, id]
    const { rows } = await db.kysely.executeQuery<Selectable<BulkRow> & { changed: number | null }>(CompiledQuery.raw(sql, values))
    const bulks = new Map(rows.map(row => [Number(row.task_id), toBulk(row)]))
    return rows
      .filter(({ changed }) => changed !== null)
      .map(row => bulks.get(Number(row.task_id))!)
      .sort((one, other) => other.askedAt - one.askedAt)
      .slice(0, limit)
      .map(bulk => ({ ...bulk, undone: bulk.undoOf === null ? null : (bulks.get(bulk.undoOf) ?? null) }))
  })
