import { type EndedState, noteRemoved } from './counters.ts'
import type { Db } from './database.ts'
import { deleteByKey } from './delete-by-key.ts'
import { forgetFailed } from './errors.ts'
import { releaseSuccessors } from './replace-task.ts'
import type { Executor } from './transact.ts'

/** Removes final ONCE tasks with their runs, files, edits and counts. @param rows locked */
export const removeEnded = async (
  db: Db,
  trx: Executor,
  rows: readonly { id: number; state: EndedState; unique_key: string | null }[],
  now: number,
): Promise<void> => {
  if (rows.length === 0) return
  const ids = rows.map(({ id }) => id)
  await forgetFailed(
    db,
    trx,
    rows.filter(({ state }) => state === 'failed').map(({ id }) => id),
  )
  await deleteByKey(db, trx, ['bg_run', 'task_id'], ids)
  await deleteByKey(db, trx, ['bg_artifact', 'task_id'], ids)
  await deleteByKey(db, trx, ['bg_edit', 'task_id'], ids)
  for (const { id, unique_key } of rows) if (unique_key !== null) await releaseSuccessors(db, trx, id, now)
  await deleteByKey(db, trx, ['bg_task', 'id'], ids)
  await noteRemoved(
    db,
    trx,
    rows.map(({ state }) => ({ state, n: 1 })),
  )
}
