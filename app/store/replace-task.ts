import { isFinal, type Reason, type Task } from '../task/task.ts'
import { noteEnded } from './counters.ts'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { type Draft, insertRows } from './insert-rows.ts'
import { lockNext } from './keep-last.ts'
import { fromReason } from './rows.ts'
import type { Executor } from './transact.ts'

/**
 * The holder of a unique key gives it away: one that waits is cancelled, one that runs is asked to stop, and one that was to follow it
 * (keepLast) is cancelled as well. Each of them names the newer task, which waits for the end of what still runs.
 * @param mayMeet false: a task that would be cancelled is none of the caller's business
 */
export const replaceHolder = async (
  db: Db,
  executor: Executor,
  holder: Task,
  draft: Draft,
  now: number,
  { by, mayMeet }: { by: string | undefined; mayMeet: (other: Task) => void },
): Promise<{ task: Task; replaced: number }> => {
  const next = await lockNext(db, executor, holder.uniqueKey!)
  if (next) mayMeet(next)
  const afterId = await stepAside(db, executor, holder, now)
  if (next) await cancelWaiting(db, executor, next.id, now)
  // A copy, since this may be undone and tried again when nobody holds the key any more.
  const task = { ...draft.task }
  if (afterId !== null) task.reason = { code: 'waits-for-key', at: now, detail: String(afterId), ...(by ? { by } : {}) }
  const newer: Draft = { ...draft, task, afterId: afterId ?? draft.afterId }
  await insertRows(db, executor, [newer])
  for (const { id } of next ? [holder, next] : [holder]) await nameSuccessor(executor, id, task.id, now, by)
  return { task, replaced: holder.id }
}

/** @returns id of the task whose end the newer one has to wait for */
const stepAside = async (db: Db, executor: Executor, holder: Task, now: number): Promise<number | null> => {
  const update = executor.updateTable('bg_task').where('id', '=', holder.id)
  const shared = { held_key: null, wanted: 'down', updated_at: now } as const
  if (holder.state === 'waiting') {
    // It may itself wait for the end of one that it replaced; the newer one waits for that one instead.
    const waitsFor = await afterOf(db, executor, holder.id)
    await cancelWaiting(db, executor, holder.id, now)
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

const cancelWaiting = async (db: Db, executor: Executor, id: number, now: number): Promise<void> => {
  await executor
    .updateTable('bg_task')
    .set({
      state: 'cancelled',
      wanted: 'down',
      held_key: null,
      next_key: null,
      due: null,
      after_id: null,
      finished_at: now,
      updated_at: now,
    })
    .where('id', '=', id)
    .execute()
  await noteEnded(db, executor, [{ state: 'cancelled', n: 1 }], '', now)
}

/** Tells the replaced task by which one, once that has its id. */
const nameSuccessor = async (executor: Executor, id: number, successor: number, now: number, by?: string): Promise<void> => {
  const reason: Reason = { code: 'replaced', at: now, detail: String(successor), ...(by ? { by } : {}) }
  await executor
    .updateTable('bg_task')
    .set({ reason: fromReason(reason) })
    .where('id', '=', id)
    .execute()
}

/** Tasks that waited for the end of this one, whose row is locked here, may go on; one that follows it has the key from now on. */
export const releaseSuccessors = async (db: Db, executor: Executor, id: number, now: number): Promise<void> => {
  const found = await executor.selectFrom('bg_task').select('id').where('after_id', '=', id).execute()
  for (const successor of found) {
    const row = await forUpdate(
      db,
      executor.selectFrom(fromIndex(db, 'PRIMARY')).selectAll().where('id', '=', successor.id),
    ).executeTakeFirst()
    // It may have been replaced or cancelled itself since we found it.
    if (!row || Number(row.after_id) !== id) continue
    const later = Number(row.run_at) > now
    const reason: Reason = later ? { code: 'due-later', at: now, until: Number(row.run_at) } : { code: 'added', at: now }
    await executor
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set({
        after_id: null,
        due: row.state === 'waiting' ? (later ? 'later' : 'now') : null,
        reason: fromReason(reason),
        updated_at: now,
        ...(row.next_key === null ? {} : { held_key: row.next_key, next_key: null }),
      })
      .where('id', '=', Number(row.id))
      .execute()
  }
}

/**
 * The task that the holder of a key waits for, when it has not ended: its run lives, so when the holder goes before it does, it has the key
 * again. Else the next one to take the key would run beside it. To be asked before the holder lets go; what it returns is done after.
 */
export const keyBack = async (db: Db, executor: Executor, holder: Task): Promise<() => Promise<void>> => {
  const after = holder.uniqueKey === null ? null : await afterOf(db, executor, holder.id)
  const row = await executor.selectFrom('bg_task').select('held_key').where('id', '=', holder.id).executeTakeFirst()
  return async () => {
    if (after === null || !row?.held_key) return
    await executor.updateTable('bg_task').set({ held_key: row.held_key }).where('id', '=', after).execute()
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
