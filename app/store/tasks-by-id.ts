import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/** Those of the tasks that are still there, by id. */
export const tasksById = async (db: Db, ids: readonly number[]): Promise<Map<number, Task>> => {
  if (ids.length === 0) return new Map()
  const rows = await withRetries(() => db.kysely.selectFrom('bg_task').selectAll().where('id', 'in', ids).execute())
  return new Map(rows.map(row => [Number(row.id), toTask(row)]))
}
