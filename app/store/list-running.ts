import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/** ONCE tasks that the rows say run on this host. */
export const listRunning = (db: Db, host: string): Promise<Task[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_task')
      .selectAll()
      .where('host', '=', host)
      .where('exec_type', '=', 'ONCE')
      .where('state', '=', 'running')
      .execute()
    return rows.sort((a, b) => Number(a.id) - Number(b.id)).map(toTask)
  })
