import type { Reason, Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { fromReason, toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/**
 * Takes a waiting task, with the row of its run, by one conditional update: of several who try, one gets it.
 * @param seen the task as `listDue` gave it
 * @returns the task as claimed, or null when somebody else has it or it changed since
 */
export const claimTask = async (db: Db, seen: Task, owner: { host: string; epoch: string }, now: number): Promise<Task | null> => {
  const number = seen.number + 1
  const reason: Reason = { code: 'started', at: now, number }
  const claimed: Task = {
    ...seen,
    ...owner,
    state: 'running',
    number,
    crashCount: seen.crashCount + 1, // counted before the spawn, so that no way to die escapes the count
    startedAt: now,
    finishedAt: null,
    reason,
    updatedAt: now,
  }
  const attempt = () =>
    db.kysely.transaction().execute(async trx => {
      const { numUpdatedRows } = await trx
        .updateTable(fromIndex(db, 'PRIMARY'))
        .set({
          state: 'running',
          number,
          crash_count: claimed.crashCount,
          host: owner.host,
          epoch: owner.epoch,
          started_at: now,
          finished_at: null,
          reason: fromReason(reason),
          due: null,
          updated_at: now,
        })
        .where('id', '=', seen.id)
        .where('state', '=', 'waiting')
        .where('due', '=', 'now')
        .where('number', '=', seen.number)
        .executeTakeFirst()
      if (numUpdatedRows !== 1n) return null
      await trx
        .insertInto('bg_run')
        .values({
          task_id: seen.id,
          number,
          host: owner.host,
          epoch: owner.epoch,
          started_at: now,
          recycled: 0,
          attempt: seen.attempt,
          adopted: 0,
        })
        .execute()
      return claimed
    })
  // The commit of a broken connection may have been made, so after it the row says whose the task is.
  return withRetries(async maybeDone => (maybeDone ? await findMine(db, claimed) : null) ?? (await attempt())).catch(
    async (error: unknown) => {
      const mine = await findMine(db, claimed).catch(() => null)
      if (mine) return mine
      throw error
    },
  )
}

const findMine = async (db: Db, { id, number, host, epoch }: Task): Promise<Task | null> => {
  const row = await db.kysely.selectFrom('bg_task').selectAll().where('id', '=', id).executeTakeFirst()
  const mine = row && row.state === 'running' && Number(row.number) === number && row.host === host && row.epoch === epoch
  return mine ? toTask(row) : null
}
