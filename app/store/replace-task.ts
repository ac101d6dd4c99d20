import { isFinal, type Reason, type Task } from '../task/task.ts'
import { noteEnded } from './counters.ts'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { fromReason } from './rows.ts'
import type { Executor } from './transact.ts'

/**
 * The holder of a unique key gives it away: one that waits is cancelled, one that runs is asked to stop.
 * @returns id of the task whose end the newer one has to wait for
 */
export const stepAside = async (db: Db, executor: Executor, holder: Task, now: number, by?: string): Promise<number | null> => {
  const reason: Reason = { code: 'replaced', at: now, ...(by ? { by } : {}) }
  const update = executor.updateTable('bg_task').where('id', '=', holder.id)
  const shared = { held_key: null, wanted: 'down', reason: fromReason(reason), updated_at: now } as const
  if (holder.state === 'waiting') {
    // It may itself wait for the end of one that it replaced; the newer one waits for that one instead.
    const waitsFor = await afterOf(db, executor, holder.id)
    await update.set({ ...shared, state: 'cancelled', due: null, after_id: null, finished_at: now }).execute()
    await noteEnded(db, executor, [{ state: 'cancelled', n: 1 }], '', now)
    return waitsFor
  }
  if (holder.state === 'stopped') {
    const waitsFor = await afterOf(db, executor, holder.id)
    await update.set({ ...shared, after_id: null }).execute()
    return waitsFor
  }
  await update.set(isFinal(holder.state) ? { held_key: null } : shared).execute()
  return isFinal(holder.state) ? null : holder.id
}

/** Tells the replaced task by which one, once that has its id. */
export const nameSuccessor = async (executor: Executor, id: number, successor: number, now: number, by?: string): Promise<void> => {
  const reason: Reason = { code: 'replaced', at: now, detail: String(successor), ...(by ? { by } : {}) }
  await executor
    .updateTable('bg_task')
    .set({ reason: fromReason(reason) })
    .where('id', '=', id)
    .execute()
}

/** Tasks that waited for the end of this one, whose row is locked here, may go on. */
export const releaseSuccessors = async (db: Db, executor: Executor, id: number, now: number): Promise<void> => {
  const rows = await executor.selectFrom('bg_task').select(['id', 'state', 'run_at']).where('after_id', '=', id).execute()
  for (const row of rows) {
    const later = Number(row.run_at) > now
    const reason: Reason = later ? { code: 'due-later', at: now, until: Number(row.run_at) } : { code: 'added', at: now }
    const due = row.state === 'waiting' ? (later ? 'later' : 'now') : null
    await executor
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set({ after_id: null, due, reason: fromReason(reason), updated_at: now })
      .where('id', '=', Number(row.id))
      .where('after_id', '=', id) // it may have been replaced itself since we read it
      .execute()
  }
}

// The task waited for is locked, so that its end comes either before this, and nothing is waited for, or after it, and releases us too.
const afterOf = async (db: Db, executor: Executor, id: number): Promise<number | null> => {
  const row = await forUpdate(db, executor.selectFrom('bg_task').select('after_id').where('id', '=', id)).executeTakeFirst()
  if (row?.after_id == null) return null
  const after = await forUpdate(
    db,
    executor.selectFrom('bg_task').select(['id', 'state']).where('id', '=', row.after_id),
  ).executeTakeFirst()
  return after && !isFinal(after.state as Task['state']) && after.state !== 'stopped' ? Number(after.id) : null
}
