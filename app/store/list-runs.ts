import { CompiledQuery, type Selectable } from 'kysely'
import type { Run } from '../task/run.ts'
import type { Task, TaskState } from '../task/task.ts'
import type { Db } from './database.ts'
import { toRun } from './rows.ts'
import type { RunRow } from './tables.ts'
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

/** The run of each of these tasks that ended last, by one statement. @returns by the id of the task; those of which none is known are not in it */
export const lastEndedOf = async (db: Db, tasks: readonly Pick<Task, 'id' | 'number' | 'state'>[]): Promise<ReadonlyMap<number, Run>> => {
  if (tasks.length === 0) return new Map()
  const sql = tasks.map(() => 'SELECT * FROM bg_run WHERE task_id = ? AND number = ?').join(' UNION ALL ')
  const wanted = tasks.flatMap(({ id, number, state }) => [id, liveStates.includes(state) ? number - 1 : number])
  const { rows } = await withRetries(() => db.kysely.executeQuery<Selectable<RunRow>>(CompiledQuery.raw(sql, wanted)))
  return new Map(rows.map(row => [Number(row.task_id), toRun(row)]))
}

/** In these the newest run is under way. */
const liveStates: readonly TaskState[] = ['starting', 'running', 'stalled', 'stopping']
