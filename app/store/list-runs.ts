import type { Run } from '../task/run.ts'
import type { Db } from './database.ts'
import { toRun } from './rows.ts'
import { withRetries } from './transact.ts'

/** Newest first. @param page.before the number of the last one seen */
export const listRuns = (db: Db, taskId: number, page: { limit: number; before?: number }): Promise<Run[]> =>
  withRetries(async () => {
    const all = db.kysely.selectFrom('bg_run').selectAll().where('task_id', '=', taskId).orderBy('number', 'desc').limit(page.limit)
    return (await (page.before === undefined ? all : all.where('number', '<', page.before)).execute()).map(toRun)
  })

export const findRun = (db: Db, taskId: number, number: number): Promise<Run | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom('bg_run')
      .selectAll()
      .where('task_id', '=', taskId)
      .where('number', '=', number)
      .executeTakeFirst()
    return row ? toRun(row) : null
  })
