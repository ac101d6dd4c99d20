import { sql } from 'kysely'
import { noteRemoved } from './counters.ts'
import type { Db } from './database.ts'
import { deleteByKey } from './delete-by-key.ts'
import { forgetFailed } from './errors.ts'
import { forUpdate } from './for-update.ts'
import { transact, withRetries } from './transact.ts'

export interface Pruned {
  tasks: { id: number; number: number }[]
  runs: number
}

/**
 * Removes a few rows of what is too old: ONCE tasks that ended before `endedBefore` (milliseconds since 1970) with their runs, and all
 * but the last `keepRuns` runs of each loop, and its errors that were met before `endedBefore` for the last time. To be repeated until nothing was removed.
 * @param what.limit most tasks, and most runs of a loop, to remove at once
 */
export const pruneRows = async (db: Db, what: { keepRuns: number; endedBefore: number; limit: number }): Promise<Pruned> => {
  const pruned: Pruned = { tasks: [], runs: 0 }
  for (const state of ['succeeded', 'failed', 'cancelled']) {
    const limit = what.limit - pruned.tasks.length
    if (limit <= 0) return pruned
    const gone = await pruneTasks(db, state, what.endedBefore, limit)
    pruned.tasks.push(...gone.tasks)
    pruned.runs += gone.runs
  }
  pruned.runs += await pruneLoopRuns(db, what)
  return pruned
}

const pruneTasks = (db: Db, state: string, endedBefore: number, limit: number): Promise<Pruned> =>
  transact(db, async trx => {
    const old = trx
      .selectFrom('bg_task')
      .select(['id', 'number'])
      .where('state', '=', state)
      .where('finished_at', '<', endedBefore)
      .orderBy('finished_at')
      .limit(limit)
    const tasks = (await forUpdate(db, old).execute()).map(row => ({ id: Number(row.id), number: Number(row.number) }))
    if (tasks.length === 0) return { tasks, runs: 0 }
    const ids = tasks.map(task => task.id)
    if (state === 'failed') await forgetFailed(db, trx, ids)
    const runs = await deleteByKey(db, trx, ['bg_run', 'task_id'], ids)
    await deleteByKey(db, trx, ['bg_artifact', 'task_id'], ids)
    await deleteByKey(db, trx, ['bg_edit', 'task_id'], ids)
    await deleteByKey(db, trx, ['bg_task', 'id'], ids)
    await noteRemoved(db, trx, [{ state, n: tasks.length }])
    return { tasks, runs }
  })

const pruneLoopRuns = async (
  db: Db,
  { keepRuns, endedBefore, limit }: { keepRuns: number; endedBefore: number; limit: number },
): Promise<number> => {
  const loops = await withRetries(() =>
    db.kysely
      .selectFrom('bg_task')
      .select(task => [
        'id',
        'number',
        task
          .selectFrom('bg_run')
          .select('bg_run.number')
          .whereRef('task_id', '=', 'bg_task.id')
          .orderBy('bg_run.number')
          .limit(1)
          .as('oldest'),
      ])
      .where('exec_type', '=', sql.lit('FOREVER'))
      .execute(),
  )
  let runs = 0
  for (const loop of loops) {
    await withRetries(() =>
      db.kysely.deleteFrom('bg_loop_error').where('task_id', '=', loop.id).where('last_at', '<', endedBefore).execute(),
    )
    if (loop.oldest === null) continue
    const upTo = Math.min(Number(loop.number) - keepRuns, Number(loop.oldest) + limit - 1)
    if (upTo < Number(loop.oldest)) continue
    const { numDeletedRows } = await withRetries(() =>
      db.kysely.deleteFrom('bg_run').where('task_id', '=', loop.id).where('number', '<=', upTo).executeTakeFirst(),
    )
    await withRetries(() => db.kysely.deleteFrom('bg_artifact').where('task_id', '=', loop.id).where('number', '<=', upTo).execute())
    runs += Number(numDeletedRows)
  }
  return runs
}
