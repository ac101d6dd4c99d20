import { CompiledQuery } from 'kysely'
import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/** Waiting ONCE tasks that may start now: by priority, then due time, then id. */
export const listDue = (db: Db, limit: number): Promise<Task[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due'))
      .selectAll()
      .where('due', '=', 'now')
      .orderBy('priority')
      .orderBy('run_at')
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(toTask)
  })

/**
 * The same, of these actions alone: those of the others may be as many as they like and are not looked through.
 * Each action is asked for its first ones, so there should not be many of them.
 */
export const listDueOf = async (db: Db, actions: readonly string[], limit: number): Promise<Task[]> => {
  const found: Task[] = []
  for (const action of actions) {
    const rows = await withRetries(() =>
      db.kysely
        .selectFrom(fromIndex(db, 'bg_task_due_action'))
        .selectAll()
        .where('due', '=', 'now')
        .where('action', '=', action)
        .orderBy('priority')
        .orderBy('run_at')
        .orderBy('id')
        .limit(limit)
        .execute(),
    )
    found.push(...rows.map(toTask))
  }
  return found.sort((a, b) => a.priority - b.priority || a.runAt - b.runAt || a.id - b.id).slice(0, limit)
}

/**
 * The actions of which tasks are due, however many of each: one look into the index for every action. Not all by one recursive statement, for
 * which MariaDB reads every entry of the index.
 */
export const actionsDue = async (db: Db): Promise<string[]> => {
  const actions: string[] = []
  const sql = `SELECT MIN(action) AS action FROM ${db.dialect === 'mysql' ? 'bg_task FORCE INDEX (bg_task_due_action)' : 'bg_task'} WHERE due = 'now' AND action > ?`
  for (let last = ''; ; ) {
    const { rows } = await withRetries(() => db.kysely.executeQuery<{ action: string | null }>(CompiledQuery.raw(sql, [last])))
    const next = rows[0]?.action ?? null
    if (next === null) return actions
    actions.push(next)
    last = next
  }
}

/** Lets tasks whose time has come be due. @returns how many */
export const promoteDue = (db: Db, now: number, limit: number): Promise<number> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due_at'))
      .select('id')
      .where('due', '=', 'later')
      .where('run_at', '<=', now)
      .orderBy('run_at')
      .orderBy('id')
      .limit(limit)
      .execute()
    if (rows.length === 0) return 0
    const ids = rows.map(row => row.id)
    const { numUpdatedRows } = await db.kysely
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set({ due: 'now' })
      .where('id', 'in', ids)
      .where('due', '=', 'later')
      .where('run_at', '<=', now)
      .executeTakeFirst()
    return Number(numUpdatedRows)
  })

/** When the next task that waits for its time is due; null when none does. */
export const nextDueAt = (db: Db): Promise<number | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due_at'))
      .select('run_at')
      .where('due', '=', 'later')
      .orderBy('run_at')
      .limit(1)
      .executeTakeFirst()
    return row ? Number(row.run_at) : null
  })

/** Since when the task that has waited longest for its start is due, also when nobody has noticed yet that it is; null: none waits, or all for a later time. */
export const firstDue = (db: Db): Promise<number | null> =>
  withRetries(async () => {
    const row = await db.kysely
      .selectFrom(fromIndex(db, 'bg_task_due_at'))
      .select('run_at')
      .where('due', '=', 'now')
      .orderBy('run_at')
      .limit(1)
      .executeTakeFirst()
    const later = await nextDueAt(db)
    const first = Math.min(row ? Number(row.run_at) : Number.POSITIVE_INFINITY, later ?? Number.POSITIVE_INFINITY)
    return first <= Date.now() ? first : null
  })
