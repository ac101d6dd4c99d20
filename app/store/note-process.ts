import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { Reason } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { fromProcess, fromReason } from './rows.ts'
import { transact, withRetries } from './transact.ts'

/** Which process a run is; known only after it was claimed. */
export const noteProcess = (db: Db, taskId: number, number: number, identity: ProcessIdentity): Promise<void> =>
  withRetries(async () => {
    await db.kysely.updateTable('bg_run').set(fromProcess(identity)).where('task_id', '=', taskId).where('number', '=', number).execute()
  })

/** A later supervisor has taken over the live run of a ONCE task. */
export const noteAdopted = (
  db: Db,
  taskId: number,
  number: number,
  owner: { host: string; epoch: string },
  now = Date.now(),
): Promise<void> =>
  transact(db, async trx => {
    const reason: Reason = { code: 'adopted', at: now, number }
    const ofTask = trx
      .updateTable(fromIndex(db, 'PRIMARY'))
      .where('id', '=', taskId)
      .where('number', '=', number)
      .where('state', '=', 'running')
    await ofTask.set({ ...owner, updated_at: now }).execute()
    // One that is being stopped keeps that as its reason.
    await ofTask
      .where('wanted', '=', 'up')
      .set({ reason: fromReason(reason) })
      .execute()
    await trx.updateTable('bg_run').set({ adopted: 1 }).where('task_id', '=', taskId).where('number', '=', number).execute()
  })
