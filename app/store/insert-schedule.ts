import type { MadeFrom, Schedule } from '../task/schedule.ts'
import type { Db } from './database.ts'
import { readSchedule } from './find-schedule.ts'
import { fromWish, type ScheduleWish } from './schedule-rows.ts'
import { transact } from './transact.ts'

export interface NewSchedule extends ScheduleWish {
  name: string
  nextAt: number | null
  madeBy: string
  madeFrom: MadeFrom
  declared: string | null
}

/** @returns the schedule of that name that is there now, and whether this call made it */
export const insertSchedule = (db: Db, given: NewSchedule, now: number): Promise<{ schedule: Schedule; added: boolean }> =>
  transact(db, async (trx, maybeDone) => {
    const there = await readSchedule(trx, { name: given.name })
    // After a broken connection it may be our own.
    if (there) return { schedule: there, added: maybeDone && there.createdAt === now && there.madeBy === given.madeBy }
    const insert = trx.insertInto('bg_schedule').values({
      ...fromWish(given, now),
      name: given.name,
      wanted: 'up',
      next_at: given.nextAt,
      made_by: given.madeBy,
      made_from: given.madeFrom,
      declared: given.declared,
      revision: 0,
      created_at: now,
    })
    // The unique index decides between several that found none.
    const { numInsertedOrUpdatedRows } = await (db.dialect === 'sqlite'
      ? insert.onConflict(conflict => conflict.column('name').doNothing())
      : insert.ignore()
    ).executeTakeFirst()
    return { schedule: (await readSchedule(trx, { name: given.name }))!, added: numInsertedOrUpdatedRows === 1n }
  })
