import type { Selectable } from 'kysely'
import type { Edit, EditEffect, Place, TaskTerms } from '../task/edit.ts'
import type { Db } from './database.ts'
import type { EditRow } from './tables.ts'
import { withRetries } from './transact.ts'

/** What people changed of a task, newest first. @param page.before only what is older than this one */
export const listEdits = (db: Db, taskId: number, page: { limit: number; before?: number }): Promise<Edit[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_edit')
      .selectAll()
      .where('task_id', '=', taskId)
      .where('n', '<', page.before ?? Number.MAX_SAFE_INTEGER)
      .orderBy('n', 'desc')
      .limit(page.limit)
      .execute()
    return rows.map(toEdit)
  })

/** @returns null when there is none of that number, or none any more */
export const findEdit = (db: Db, taskId: number, n: number): Promise<Edit | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_edit').selectAll().where('task_id', '=', taskId).where('n', '=', n).executeTakeFirst()
    return row ? toEdit(row) : null
  })

/** Who changed a task, when, and where in its params, without what to what. */
export type EditMark = Pick<Edit, 'n' | 'at' | 'by' | 'number' | 'touched'>

/** The newest ones, newest first. */
export const listEditMarks = (db: Db, taskId: number, limit: number): Promise<EditMark[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_edit')
      .select(['n', 'at', 'user_name', 'number', 'touched'])
      .where('task_id', '=', taskId)
      .orderBy('n', 'desc')
      .limit(limit)
      .execute()
    return rows.map(row => ({
      n: Number(row.n),
      at: Number(row.at),
      by: row.user_name,
      number: Number(row.number),
      touched: JSON.parse(row.touched) as Place[],
    }))
  })

const toEdit = (row: Selectable<EditRow>): Edit => ({
  taskId: Number(row.task_id),
  n: Number(row.n),
  at: Number(row.at),
  by: row.user_name,
  via: row.via,
  effect: row.effect as EditEffect,
  number: Number(row.number),
  revertOf: row.revert_of === null ? null : Number(row.revert_of),
  before: JSON.parse(row.before_terms) as TaskTerms,
  after: JSON.parse(row.after_terms) as TaskTerms,
  touched: JSON.parse(row.touched) as Place[],
})
