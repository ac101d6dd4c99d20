import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { Db } from './database.ts'
import { fromProcess } from './rows.ts'
import { withRetries } from './transact.ts'

/** Which process a run is; known only after it was claimed. */
export const noteProcess = (db: Db, taskId: number, number: number, identity: ProcessIdentity): Promise<void> =>
  withRetries(async () => {
    await db.kysely.updateTable('bg_run').set(fromProcess(identity)).where('task_id', '=', taskId).where('number', '=', number).execute()
  })
