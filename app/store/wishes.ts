import { sql } from 'kysely'
import { BgtaskError } from '../errors.ts'
import { isFinal, type Reason, type Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import { noteEnded, noteRemoved } from './counters.ts'
import type { Db } from './database.ts'
import { forgetFailed } from './errors.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { isDuplicate } from './is-away.ts'
import { lockNext } from './keep-last.ts'
import { keyBack, releaseSuccessors } from './replace-task.ts'
import { fromReason, heldKey, toTask } from './rows.ts'
import { type Executor, transact } from './transact.ts'
import { waitsAgain } from './waits-again.ts'

// What people want of tasks. `by` is who said so. Each may be repeated.

/**
 * A loop is to be kept up.
 * @returns false when there is no such loop
 * @throws BgtaskError `conflict` when a newer task has its unique key
 */
export const wishUp = (db: Db, id: number, by: string, now: number): Promise<boolean> => changeLoop(db, id, task => up(task, by, now))

/** A loop is to go down, and stay down. @returns false when there is no such loop */
export const wishDown = (db: Db, id: number, by: string, now: number): Promise<boolean> =>
  changeLoop(db, id, task => {
    const code = task.state === 'stopped' ? 'stopped-by-wish' : 'stopping'
    return task.wanted === 'down' ? {} : { wanted: 'down', reason: fromReason({ code, at: now, by }) }
  })

/** A loop is to get a fresh process now, also when it runs, backs off or is tripped. @returns, @throws as wishUp */
export const wishFresh = (db: Db, id: number, by: string, now: number): Promise<boolean> =>
  changeLoop(db, id, task => ({
    // What runs is replaced, and its run will tell by whom.
    ...reasonAskedBy(task, by),
    ...up(task, by, now),
    wish: task.wish + 1,
  }))

/** What runs says why it does, and from now on also who wants another process in its place. */
export const reasonAskedBy = ({ reason, state }: Pick<Task, 'reason' | 'state'>, by: string | null): { reason?: string | null } => {
  if (!reason || state === 'stopped') return {}
  const { by: _before, ...rest } = reason
  return { reason: fromReason({ ...rest, ...(by === null ? {} : { by }) }) }
}

export type Cancelled = 'cancelled' | 'cancelling' | 'already-final'

/** A waiting task is final at once, a running one will be when its run has ended. @returns null when there is no such task */
export const cancelTask = (db: Db, id: number, by: string, now: number): Promise<Cancelled | null> =>
  transact(db, async (trx, maybeDone) => {
    const task = await lockTask(db, trx, id)
    if (!task) return null
    if (isFinal(task.state)) return maybeDone && task.state === 'cancelled' && task.finishedAt === now ? 'cancelled' : 'already-final'
    return cancelLocked(db, trx, task, by, now)
  })

export interface CancelledKey {
  /** Id of the task that had the key. */
  holder: number
  cancelled: Exclude<Cancelled, 'already-final'>
  /** Id of the task that was to follow it (keepLast), which is cancelled too; null when there was none. */
  next: number | null
}

/** The same for the task that holds the unique key, and the one that follows it. @returns null when nothing has the key */
export const cancelByKey = (db: Db, key: string, by: string, now: number): Promise<CancelledKey | null> =>
  transact(db, async trx => {
    const row = await forUpdate(
      db,
      trx.selectFrom(fromIndex(db, 'bg_task_held_key')).selectAll().where('held_key', '=', heldKey(key)),
    ).executeTakeFirst()
    if (!row) return null
    const holder = toTask(row)
    const next = await lockNext(db, trx, key)
    if (next) await cancelLocked(db, trx, next, by, now)
    return { holder: holder.id, cancelled: await cancelLocked(db, trx, holder, by, now), next: next?.id ?? null }
  })

/** @param task locked, and not final */
export const cancelLocked = async (db: Db, trx: Executor, task: Task, by: string, now: number): Promise<CancelledKey['cancelled']> => {
  const update = trx.updateTable('bg_task').where('id', '=', task.id)
  if (task.state === 'waiting') {
    const reason: Reason = { code: 'cancelled', at: now, by }
    const giveKeyBack = await keyBack(db, trx, task)
    await update
      .set({
        state: 'cancelled',
        wanted: 'down',
        reason: fromReason(reason),
        due: null,
        after_id: null,
        held_key: null,
        next_key: null,
        finished_at: now,
        updated_at: now,
      })
      .execute()
    await noteEnded(db, trx, [{ state: 'cancelled', n: 1 }], '', now)
    await giveKeyBack()
    if (task.uniqueKey !== null) await releaseSuccessors(db, trx, task.id, now)
    return 'cancelled'
  }
  if (task.wanted === 'up') {
    const code = task.execType === 'ONCE' ? 'cancelling' : task.state === 'stopped' ? 'stopped-by-wish' : 'stopping'
    await update.set({ wanted: 'down', reason: fromReason({ code, at: now, by }), updated_at: now }).execute()
  }
  return 'cancelling'
}

/**
 * A final ONCE task waits again, with all its tries, due now.
 * @returns false when there is no such task, or it is not final
 * @throws BgtaskError `conflict` when another task has its unique key by now
 */
export const retryTask = (db: Db, id: number, by: string, now: number): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    const task = await lockTask(db, trx, id)
    if (!task || !isFinal(task.state)) return maybeDone && task?.state === 'waiting'
    await holdKey(trx, task)
    await forgetFailed(db, trx, [id])
    await trx.updateTable('bg_task').set(waitsAgain(by, now)).where('id', '=', id).execute()
    await noteRemoved(db, trx, [{ state: task.state, n: 1 }])
    return true
  })

/** A waiting task is due now. @returns false when there is none, or it waits for the end of another */
export const runNow = (db: Db, id: number, by: string, now: number): Promise<boolean> =>
  changeWaiting(db, id, task => ({
    run_at: Math.min(task.runAt, now),
    due: 'now',
    reason: fromReason({ code: 'added', at: now, by }),
    updated_at: now,
  }))

/**
 * Another due time for a waiting task; one that waits for the end of another starts at neither before.
 * @returns false when there is no such task, or it does not wait
 */
export const moveDue = (db: Db, id: number, runAt: number, by: string, now = Date.now()): Promise<boolean> =>
  transact(db, async trx => {
    const task = await lockTask(db, trx, id)
    if (task?.state !== 'waiting') return false
    const after = task.reason?.code === 'waits-for-key' || task.reason?.code === 'waits-for-turn'
    const reason: Reason = runAt > now ? { code: 'due-later', at: now, until: runAt, by } : { code: 'added', at: now, by }
    await trx
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set({
        run_at: runAt,
        due: sql`CASE WHEN due = 'after' THEN 'after' ELSE ${runAt > now ? 'later' : 'now'} END`,
        updated_at: now,
        ...(after ? {} : { reason: fromReason(reason) }),
      })
      .where('id', '=', id)
      .execute()
    return true
  })

/** Removes a final task or a stopped loop, with its runs. @returns false when it is neither, or not there */
export const deleteTask = (db: Db, id: number): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    const task = await lockTask(db, trx, id)
    if (!task) return maybeDone
    if (!isFinal(task.state) && task.state !== 'stopped') return false
    const giveKeyBack = await keyBack(db, trx, task)
    await forgetFailed(db, trx, [id])
    await trx.deleteFrom('bg_task').where('id', '=', id).execute()
    await giveKeyBack()
    await trx.deleteFrom('bg_run').where('task_id', '=', id).execute()
    await trx.deleteFrom('bg_artifact').where('task_id', '=', id).execute()
    await trx.deleteFrom('bg_edit').where('task_id', '=', id).execute()
    if (task.execType === 'FOREVER') for (const table of ofLoops) await trx.deleteFrom(table).where('task_id', '=', id).execute()
    if (isFinal(task.state)) await noteRemoved(db, trx, [{ state: task.state, n: 1 }])
    await releaseSuccessors(db, trx, id, Date.now())
    return true
  })

const ofLoops = ['bg_sample', 'bg_loop_error', 'bg_loop_success'] as const

interface LoopChange {
  wanted?: 'up' | 'down'
  reason?: string | null
  wish?: number
}

const up = (task: Task, by: string, now: number): LoopChange =>
  task.wanted === 'up' && task.state !== 'stopped'
    ? {}
    : { wanted: 'up', ...(task.state === 'stopped' ? { reason: fromReason({ code: 'added', at: now, by }) } : {}) }

const changeLoop = (db: Db, id: number, change: (task: Task) => LoopChange): Promise<boolean> =>
  transact(db, async trx => {
    const task = await lockTask(db, trx, id)
    if (task?.execType !== 'FOREVER') return false
    const changes = change(task)
    if (Object.keys(changes).length === 0) return true
    if (changes.wanted === 'up') await holdKey(trx, task)
    await trx
      .updateTable('bg_task')
      .set({ ...changes, updated_at: Date.now() })
      .where('id', '=', id)
      .execute()
    return true
  })

const changeWaiting = (
  db: Db,
  id: number,
  change: (task: Task) => { run_at: number; due: 'now' | 'later'; reason: string | null; updated_at: number },
): Promise<boolean> =>
  transact(db, async trx => {
    const task = await lockTask(db, trx, id)
    if (task?.state !== 'waiting') return false
    const changed = await trx
      .updateTable(fromIndex(db, 'PRIMARY'))
      .set(change(task))
      .where('id', '=', id)
      .where('due', '<>', 'after')
      .executeTakeFirst()
    return changed.numUpdatedRows > 0n
  })

// A task that gave its key away must get it back before it may live again.
export const holdKey = async (trx: Executor, task: Task) => {
  if (task.uniqueKey === null) return
  try {
    await trx
      .updateTable('bg_task')
      .set({ held_key: heldKey(task.uniqueKey) })
      .where('id', '=', task.id)
      .execute()
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const key = JSON.stringify(task.uniqueKey)
    throw new BgtaskError(
      'conflict',
      told`Another task holds the unique key ${key} of task ${task.id}. Cancel that one first, or wait for its end.`,
      { cause: error },
    )
  }
}

/** The task as it stands, and nobody changes it until the transaction ends. */
export const lockTask = async (db: Db, trx: Executor, id: number): Promise<Task | null> => {
  const row = await forUpdate(db, trx.selectFrom('bg_task').selectAll().where('id', '=', id)).executeTakeFirst()
  return row ? toTask(row) : null
}
