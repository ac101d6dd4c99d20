import type { Run } from '../task/run.ts'
import type { Db } from './database.ts'
import { toRun } from './rows.ts'
import { withRetries } from './transact.ts'

/** The last ended runs of each task, oldest first. */
export const recentLives = async (db: Db, taskIds: readonly number[], perTask: number): Promise<Map<number, Run[]>> => {
  const lives = new Map<number, Run[]>()
  for (const taskId of taskIds) {
    const rows = await withRetries(() =>
      db.kysely
        .selectFrom('bg_run')
        .selectAll()
        .where('task_id', '=', taskId)
        .where('outcome', 'is not', null)
        .orderBy('number', 'desc')
        .limit(perTask)
        .execute(),
    )
    lives.set(taskId, rows.map(toRun).reverse())
  }
  return lives
}
