import { isFinal, type TaskState } from '../task/task.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** Which of these tasks have ended for good, or are gone. */
export const findEnded = (db: Db, ids: readonly number[]): Promise<number[]> =>
  withRetries(async () => {
    const rows = await db.kysely.selectFrom('bg_task').select(['id', 'state']).where('id', 'in', ids).execute()
    const live = new Set(rows.filter(({ state }) => !isFinal(state as TaskState)).map(({ id }) => Number(id)))
    return ids.filter(id => !live.has(id))
  })
