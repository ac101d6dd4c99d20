import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import type { Executor } from './transact.ts'

/**
 * Deletes the rows of these ids, by the primary key, which begins with the column. As a join, since only that takes a hint on MySQL: else it reads a
 * small or empty table as a whole, and waits for rows that others have locked.
 * @returns how many there were
 */
export const deleteByKey = async (
  db: Db,
  executor: Executor,
  [table, column]: readonly ['bg_task', 'id'] | readonly ['bg_run' | 'bg_artifact' | 'bg_edit', 'task_id'],
  ids: readonly number[],
): Promise<number> => {
  if (ids.length === 0) return 0
  const from = db.dialect === 'mysql' ? `DELETE t FROM ${table} AS t FORCE INDEX (PRIMARY)` : `DELETE FROM ${table}`
  const sql = `${from} WHERE ${column} IN (${ids.map(() => '?').join(', ')})`
  const { numAffectedRows } = await executor.executeQuery(CompiledQuery.raw(sql, [...ids]))
  return Number(numAffectedRows ?? 0n)
}
