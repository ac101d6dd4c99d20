import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { heldKey, toTask } from './rows.ts'
import { withRetries } from './transact.ts'

export const findTask = (db: Db, id: number): Promise<Task | null> => find(db, 'id', id)

export const findTaskByUid = (db: Db, uid: string): Promise<Task | null> => find(db, 'uid', uid)

/** The task that holds the unique key: the newest one with it, as long as it is not final. */
export const findTaskByKey = (db: Db, key: string): Promise<Task | null> => find(db, 'held_key', heldKey(key))

/** The task that follows the holder of the key (keepLast). */
export const findTaskNextByKey = (db: Db, key: string): Promise<Task | null> => find(db, 'next_key', heldKey(key))

/** Id of the task that was added last; 0 when there is none. */
export const newestTaskId = (db: Db): Promise<number> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_task').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst()
    return Number(row?.id ?? 0)
  })

const find = (db: Db, column: 'id' | 'uid' | 'held_key' | 'next_key', value: number | string | Uint8Array): Promise<Task | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_task').selectAll().where(column, '=', value).executeTakeFirst()
    return row ? toTask(row) : null
  })
