import type { Schedule } from '../task/schedule.ts'
import type { Db } from './database.ts'
import { toSchedule } from './schedule-rows.ts'
import { withRetries } from './transact.ts'

/** By name. @param page.after the last name of the page before this one */
export const listSchedules = (db: Db, page: { limit: number; after?: string }): Promise<Schedule[]> =>
  withRetries(async () => {
    let query = db.kysely.selectFrom('bg_schedule').selectAll().orderBy('name').limit(page.limit)
    if (page.after !== undefined) query = query.where('name', '>', page.after)
    return (await query.execute()).map(toSchedule)
  })

/** Those that are due next, the first one first. */
export const listNextSchedules = (db: Db, limit: number): Promise<Schedule[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_schedule')
      .selectAll()
      .where('next_at', 'is not', null)
      .orderBy('next_at')
      .limit(limit)
      .execute()
    return rows.map(toSchedule)
  })

/** When the first of all is due; `but` are left out. */
export const nextScheduleAt = (db: Db, but: readonly number[]): Promise<number | null> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_schedule')
      .select(['id', 'next_at'])
      .where('next_at', 'is not', null)
      .orderBy('next_at')
      .limit(but.length + 1)
      .execute()
    const first = rows.find(row => !but.includes(Number(row.id)))
    return first ? Number(first.next_at) : null
  })
