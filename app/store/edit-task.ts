import { type Edit, type EditEffect, type Place, type TaskTerms, termsOf } from '../task/edit.ts'
import type { Task } from '../task/task.ts'
import type { CallerTransaction, Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { toTask } from './rows.ts'
import { type Executor, transact } from './transact.ts'
import { reasonAskedBy } from './wishes.ts'

/** Edits that are kept of a task; older ones are removed as new ones come. */
export const editsKept = 100

/** The task as it was read by whoever changes it: by these two it is known whether somebody else was quicker. */
export type SeenTask = Pick<Task, 'id' | 'edits' | 'superseded'>

export interface NewEdit {
  after: TaskTerms
  effect: EditEffect
  /** null: nobody is signed in. */
  by: string | null
  via: string
  /** Of the edit whose earlier terms are brought back. */
  revertOf: number | null
  /** Places in the params that were given anew. */
  touched: readonly Place[]
}

/** `changed`: it is not as it was seen; `begun`: a ONCE task does not wait any more; `gone`: it is not there. */
export type EditedTask = { done: 'edited'; edit: Edit } | { done: 'changed' | 'begun' | 'gone' }

/**
 * Changes the terms of a loop, or of a ONCE task that waits, and notes what they were, in one transaction.
 * A loop that is wanted up gets a fresh process when `effect` is `restart`.
 * @param together done in the same transaction, last
 */
export const editTask = (
  db: Db,
  seen: SeenTask,
  wish: NewEdit,
  now: number,
  together?: (edit: Edit, trx: CallerTransaction) => Promise<void>,
): Promise<EditedTask> =>
  transact(db, async (trx, maybeDone) => {
    const row = await forUpdate(db, trx.selectFrom('bg_task').selectAll().where('id', '=', seen.id)).executeTakeFirst()
    if (!row) return { done: 'gone' }
    const task = toTask(row)
    const edit = editOf(task, wish, now)
    if (maybeDone && task.edits === seen.edits + 1 && (await isThere(trx, { ...edit, n: task.edits }))) {
      return { done: 'edited', edit: { ...edit, n: task.edits } }
    }
    if (task.edits !== seen.edits || task.superseded !== seen.superseded) return { done: 'changed' }
    if (task.execType === 'ONCE' && task.state !== 'waiting') return { done: 'begun' }
    const { params, priority, maxAttempts, timeoutMs, graceMs, rerunAfterCrash } = wish.after
    await trx
      .updateTable('bg_task')
      .set({
        params: JSON.stringify(params),
        priority,
        max_attempts: maxAttempts,
        timeout_ms: timeoutMs,
        grace_ms: graceMs,
        rerun_after_crash: rerunAfterCrash ? 1 : 0,
        edits: edit.n,
        ...(edit.effect === 'restart' ? { wish: task.wish + 1, ...reasonAskedBy(task, edit.by) } : {}),
        updated_at: now,
      })
      .where('id', '=', task.id)
      .execute()
    await insertEdit(trx, edit)
    await trx
      .deleteFrom('bg_edit')
      .where('task_id', '=', task.id)
      .where('n', '<=', edit.n - editsKept)
      .execute()
    await together?.(edit, trx)
    return { done: 'edited', edit }
  })

const editOf = (task: Task, { after, effect, by, via, revertOf, touched }: NewEdit, now: number): Edit => ({
  taskId: task.id,
  n: task.edits + 1,
  at: now,
  by: by === null ? null : [...by].slice(0, 64).join(''),
  via,
  // What is down stays down, and what waits has no process.
  effect: task.execType === 'FOREVER' && task.wanted === 'up' ? effect : 'next',
  number: task.number,
  revertOf,
  touched,
  before: termsOf(task),
  after: termsOf(after),
})

const insertEdit = (trx: Executor, { taskId, n, at, by, via, effect, number, revertOf, touched, before, after }: Edit) =>
  trx
    .insertInto('bg_edit')
    .values({
      ...{ task_id: taskId, n, at, user_name: by, via, effect, number, revert_of: revertOf },
      before_terms: JSON.stringify(before),
      after_terms: JSON.stringify(after),
      touched: JSON.stringify(touched),
    })
    .execute()

const isThere = async (trx: Executor, { taskId, n, at, by }: Edit): Promise<boolean> => {
  const row = await trx
    .selectFrom('bg_edit')
    .select(['at', 'user_name'])
    .where('task_id', '=', taskId)
    .where('n', '=', n)
    .executeTakeFirst()
  return row !== undefined && Number(row.at) === at && row.user_name === by
}
