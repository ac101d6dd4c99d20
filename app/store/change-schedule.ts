import type { Wanted } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromWish, type ScheduleWish } from './schedule-rows.ts'
import { withRetries } from './transact.ts'

/** What was said of it is replaced, if nobody else did so since it was read. */
export interface ScheduleChange extends ScheduleWish {
  nextAt: number | null
  /** The hash of the declaration that is applied; undefined: the one that it has stays. */
  declared?: string | null
  /** Who changed it; null: its declaration did. */
  editedBy: string | null
}

/** @returns false when it was changed or removed since it was read */
export const changeSchedule = (db: Db, seen: { id: number; revision: number }, change: ScheduleChange, now: number): Promise<boolean> =>
  update(db, seen, {
    ...fromWish(change, now),
    next_at: change.nextAt,
    note: null,
    edited_by: change.editedBy,
    edited_at: change.editedBy === null ? null : now,
    ...(change.declared === undefined ? {} : { declared: change.declared }),
  })

/** Pauses it, or lets it go on. @returns false when it was changed or removed since it was read */
export const setScheduleWanted = (
  db: Db,
  seen: { id: number; revision: number },
  { wanted, nextAt }: { wanted: Wanted; nextAt: number | null },
  now: number,
): Promise<boolean> => update(db, seen, { wanted, next_at: nextAt, note: null, updated_at: now })

/** Lets it wait for another time, if it still waits for the one that was seen: no change of what it says. */
export const moveSchedule = (
  db: Db,
  seen: { id: number; revision: number; nextAt: number | null },
  nextAt: number | null,
): Promise<boolean> =>
  withRetries(async () => {
    const { numUpdatedRows } = await db.kysely
      .updateTable('bg_schedule')
      .set({ next_at: nextAt })
      .where('id', '=', seen.id)
      .where('revision', '=', seen.revision)
      .where('next_at', '=', seen.nextAt)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  })

const update = (db: Db, seen: { id: number; revision: number }, set: object): Promise<boolean> =>
  withRetries(async maybeDone => {
    const { numUpdatedRows } = await db.kysely
      .updateTable('bg_schedule')
      .set({ ...set, revision: seen.revision + 1 })
      .where('id', '=', seen.id)
      .where('revision', '=', seen.revision)
      .executeTakeFirst()
    if (numUpdatedRows === 1n) return true
    if (!maybeDone) return false
    const row = await db.kysely.selectFrom('bg_schedule').select('revision').where('id', '=', seen.id).executeTakeFirst()
    return Number(row?.revision) === seen.revision + 1
  })
