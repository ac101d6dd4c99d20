import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

// What the overview page reads: a few rows each, however many there are.

/** Loops that are tripped, stalled or back off; the newest of each first. */
export const listTroubledLoops = (db: Db, limit: number): Promise<Task[]> =>
  withRetries(async () => {
    const rows = []
    for (const state of ['tripped', 'stalled', 'backing-off']) rows.push(...(await inState(db, state, limit)))
    return rows.slice(0, limit).map(toTask)
  })

/** ONCE tasks that failed since that moment, the newest first. */
export const listFailedSince = (db: Db, since: number, limit: number): Promise<Task[]> =>
  withRetries(async () => {
    const failed = db.kysely.selectFrom('bg_task').selectAll().where('state', '=', 'failed').where('finished_at', '>=', since)
    return (await failed.orderBy('finished_at', 'desc').limit(limit).execute()).map(toTask)
  })

/** Newest first. */
export const listRunningNow = (db: Db, limit: number): Promise<Task[]> =>
  withRetries(async () => (await inState(db, 'running', limit)).map(toTask))

/** Waiting tasks in the order of their due times, first those that are due. */
export const listNext = (db: Db, limit: number): Promise<Task[]> =>
  withRetries(async () => {
    const waiting = (due: 'now' | 'later', most: number) =>
      db.kysely
        .selectFrom(fromIndex(db, 'bg_task_due_at'))
        .selectAll()
        .where('due', '=', due)
        .orderBy('run_at')
        .orderBy('id')
        .limit(most)
        .execute()
    const rows = await waiting('now', limit)
    if (rows.length < limit) rows.push(...(await waiting('later', limit - rows.length)))
    return rows.map(toTask)
  })

const inState = (db: Db, state: string, limit: number) =>
  db.kysely.selectFrom('bg_task').selectAll().where('state', '=', state).orderBy('id', 'desc').limit(limit).execute()
