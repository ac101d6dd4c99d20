import { wasCancelledWaiting } from '../task/cancelled-waiting.ts'
import type { Reason, Task } from '../task/task.ts'
import { noteRemoved } from './counters.ts'
import type { Db } from './database.ts'
import { fromReason } from './rows.ts'
import { transact } from './transact.ts'
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
    await trx
      .updateTable('bg_task')
      .set({
        state: 'waiting',
        wanted: 'up',
        reason: fromReason(whyItWaits(task, by, now)),
        due: task.runAt > now ? 'later' : 'now',
        finished_at: null,
        updated_at: now,
      })
      .where('id', '=', id)
      .execute()
    await noteRemoved(db, trx, [{ state: 'cancelled', n: 1 }])
    return true
  })

// What it waited for was overwritten by who cancelled it, and is told by its counts.
const whyItWaits = ({ runAt, crashCount, attempt }: Task, by: string, now: number): Reason => {
  if (crashCount > 0) return { code: 'crashed', at: now, until: runAt, failures: crashCount }
  if (attempt > 0) return { code: 'retry', at: now, until: runAt, failures: attempt }
  return runAt > now ? { code: 'due-later', at: now, until: runAt, by } : { code: 'added', at: now, by }
}
