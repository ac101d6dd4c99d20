import { sql } from 'kysely'
import { BgtaskError } from '../errors.ts'
import type { Reason, Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { type Draft, insertRows } from './insert-rows.ts'
import { fromReason, heldKey, toTask } from './rows.ts'
import type { Executor } from './transact.ts'

/**
 * One that has begun, and at most one that waits for its end, with the newest params. The task that waits is overwritten and counts it;
 * that there are never two is the work of the unique index over `next_key`.
 * @param holder the task that holds the unique key, locked
 * @param mayMeet false: the task that would be overwritten is none of the caller's business
 * @throws BgtaskError `conflict` when a loop holds the key
 */
export const keepLast = async (
  db: Db,
  executor: Executor,
  holder: Task,
  draft: Draft,
  now: number,
  { by, mayMeet }: { by: string | undefined; mayMeet: (waiting: Task) => void },
): Promise<{ task: Task; added: boolean; updated: boolean }> => {
  if (holder.execType === 'FOREVER') {
    throw new BgtaskError(
      'conflict',
      told`The unique key ${JSON.stringify(draft.task.uniqueKey)} is held by task ${holder.id}, a loop: it does not end by itself, so nothing could follow it. Stop and delete it, or use onConflict replace.`,
    )
  }
  const waiting = hasBegun(holder) ? await lockNext(db, executor, holder.uniqueKey!) : holder
  if (waiting) {
    mayMeet(waiting)
    return { task: await overwrite(db, executor, waiting, draft, now, by), added: false, updated: true }
  }
  const reason: Reason = { code: 'waits-for-turn', at: now, detail: String(holder.id), ...(by ? { by } : {}) }
  const next: Draft = { ...draft, task: { ...draft.task, reason }, afterId: holder.id, isNext: true }
  await insertRows(db, executor, [next])
  return { task: next.task, added: true, updated: false }
}

/** The task that follows the holder of a key, locked until the transaction ends. To be asked with the holder locked. */
export const lockNext = async (db: Db, executor: Executor, key: string): Promise<Task | null> => {
  const row = await forUpdate(
    db,
    executor.selectFrom(fromIndex(db, 'bg_task_next_key')).selectAll().where('next_key', '=', heldKey(key)),
  ).executeTakeFirst()
  return row ? toTask(row) : null
}

/** Once a run has begun with its params they are history; it may still wait, for its next try. */
const hasBegun = (task: Task) => task.state !== 'waiting' || task.number > 0

// The count is what a claim looks at: whoever read the old params does not get the task.
const overwrite = async (db: Db, executor: Executor, waiting: Task, { task, params }: Draft, now: number, by?: string): Promise<Task> => {
  const after = waiting.reason?.code === 'waits-for-key' || waiting.reason?.code === 'waits-for-turn' ? waiting.reason : null
  const reason: Reason = after ? { ...after, at: now, ...(by ? { by } : {}) } : task.reason!
  await executor
    .updateTable(fromIndex(db, 'PRIMARY'))
    .set({
      action: task.action,
      params,
      type: task.type,
      creator: task.creator,
      priority: task.priority,
      run_at: task.runAt,
      max_attempts: task.maxAttempts,
      timeout_ms: task.timeoutMs,
      grace_ms: task.graceMs,
      rerun_after_crash: task.rerunAfterCrash ? 1 : 0,
      superseded: waiting.superseded + 1,
      reason: fromReason(reason),
      due: sql`CASE WHEN due = 'after' THEN 'after' ELSE ${task.runAt > now ? 'later' : 'now'} END`,
      updated_at: now,
    })
    .where('id', '=', waiting.id)
    .execute()
  const { id, uid, superseded, createdAt } = waiting
  return { ...task, id, uid, reason, createdAt, superseded: superseded + 1 }
}
