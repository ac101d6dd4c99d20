import type { Schedule } from '../task/schedule.ts'
import type { Db } from './database.ts'
import { toSchedule } from './schedule-rows.ts'
import { type Executor, withRetries } from './transact.ts'

export const findSchedule = (db: Db, which: { id: number } | { name: string }): Promise<Schedule | null> =>
  withRetries(() => readSchedule(db.kysely, which))

/** The same within a transaction. */
export const readSchedule = async (executor: Executor, which: { id: number } | { name: string }): Promise<Schedule | null> => {
  const query = executor.selectFrom('bg_schedule').selectAll()
  const row = await ('id' in which ? query.where('id', '=', which.id) : query.where('name', '=', which.name)).executeTakeFirst()
  return row ? toSchedule(row) : null
}
