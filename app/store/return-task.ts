import { CompiledQuery } from 'kysely'
import { wasCancelledWaiting } from '../task/cancelled-waiting.ts'
import type { Reason, Task } from '../task/task.ts'
import { noteRemoved } from './counters.ts'
import type { Db } from './database.ts'
import { fromReason } from './rows.ts'
import { takeKeys } from './take-keys.ts'
import { type Executor, transact } from './transact.ts'
import { holdKey, lockTask } from './wishes.ts'

/**
 * Undoes that a waiting task was cancelled: it waits as it did, due when it was due, with the tries that it had left.
 * @param by who asked for it
 * @returns false when there is no such task, or it was not cancelled while it waited
 * @throws BgtaskError `conflict` when another task has its unique key by now
 */
export const returnTask = (db: Db, id: number, by: string, now: number): Promise<boolean> =>
  transact(db, async (trx, maybeDone) => {
    const task = await lockTask(db, trx, id)
    if (!task || !wasCancelledWaiting(task)) return maybeDone && task?.state === 'waiting'
    await holdKey(trx, task)
    await waitAsBefore(db, trx, [task], by, now)
    return true
  })

/** The same for many. @param tasks locked, and cancelled while they waited @returns ids of those that wait: nobody else has their unique keys */
export const returnLocked = async (db: Db, trx: Executor, tasks: readonly Task[], by: string, now: number): Promise<number[]> => {
  const free = await takeKeys(
    trx,
    tasks.map(({ id, uniqueKey }) => ({ id, unique_key: uniqueKey })),
  )
  await waitAsBefore(
    db,
    trx,
    tasks.filter(({ id }) => free.includes(id)),
    by,
    now,
  )
  return free
}

/** @param tasks which have their unique keys again */
const waitAsBefore = async (db: Db, trx: Executor, tasks: readonly Task[], by: string, now: number): Promise<void> => {
  if (tasks.length === 0) return
  const table = db.dialect === 'mysql' ? 'bg_task FORCE INDEX (PRIMARY)' : 'bg_task'
  const reasons = `CASE id ${tasks.map(() => 'WHEN ? THEN ?').join(' ')} END`
  const ids = tasks.map(({ id }) => id)
  await trx.executeQuery(
    CompiledQuery.raw(
      `UPDATE ${table} SET state = 'waiting', wanted = 'up', finished_at = NULL, updated_at = ?, reason = ${reasons}, ` +
        `due = CASE WHEN run_at > ? THEN 'later' ELSE 'now' END WHERE id IN (${ids.map(() => '?').join(', ')})`,
      [now, ...tasks.flatMap(task => [task.id, fromReason(whyItWaits(task, by, now))]), now, ...ids],
    ),
  )
  await noteRemoved(db, trx, [{ state: 'cancelled', n: tasks.length }])
}

// What it waited for was overwritten by who cancelled it, and is told by its counts.
const whyItWaits = ({ runAt, crashCount, attempt }: Task, by: string, now: number): Reason => {
  if (crashCount > 0) return { code: 'crashed', at: now, until: runAt, failures: crashCount }
  if (attempt > 0) return { code: 'retry', at: now, until: runAt, failures: attempt }
  return runAt > now ? { code: 'due-later', at: now, until: runAt, by } : { code: 'added', at: now, by }
}
