import type { Catalog } from '../catalog/catalog.ts'
import type { CommandsConfig } from '../commands/load-commands.ts'
import type { Config } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { ring } from '../runs/doorbell.ts'
import type { CallerTransaction, Db } from '../store/database.ts'
import { insertTasks, type NewTask } from '../store/insert-task.ts'
import { type ExecType, isFinal, type Task } from '../task/task.ts'
import { type Act, type Actor, noteAct } from './audited.ts'
import type { TaskOptions } from './check-options.ts'
import { checkTask } from './check-task.ts'
import { asCommandWish } from './command-wish.ts'
import { requireSameDatabase } from './require-same-database.ts'
import { showValue } from './show-value.ts'

/** What is asked for: an action, its params, and the rest. */
export interface TaskWish {
  action: string
  /** Default {}. */
  params?: unknown
  options?: ExecType | TaskOptions | null
}

/** One answer: the task that is there now, and whether it was added or one with the same unique key kept. */
export interface StoredTask {
  task: Task
  added: boolean
  /** keepLast: a task that waited already has these params and options now. */
  updated: boolean
  /** Id of the task that this one replaces. */
  replaced: number | null
}

/** Whose act an adding is, for the audit. */
export interface AddedBy extends Actor {
  /** Default: `task-added`, or `tasks-added` for several. */
  act?: string
  /** What the audit says besides the action. */
  detail?: string
}

/**
 * Checks all of them, then stores all of them in one transaction, and rings the supervisor on this host once they are committed.
 * With the caller's own transaction nobody here sees the commit: the supervisor's next poll, within a second, finds the tasks.
 * @param by who asked, as told on a page when a task was replaced
 * @param actor the person who adds them: what is added is told in the audit, in the same transaction. Without it nothing is, since then
 * the application itself asks, and the task's `creator` says who.
 * @param together done in the same transaction, before the audit: when it throws, nothing is stored
 * @param mayMeet asked of each task that has a wanted key and would be kept, overwritten or replaced, in the transaction that stores; false
 * ends it, with a `conflict` that says no more of that task
 * @returns in the order given
 * @throws BgtaskError `refused`: nothing is stored; `conflict`: a unique key is held and `onConflict` is reject
 */
export const storeTasks = async (
  { config, db, catalog }: { config: Pick<Config, 'runtime' | 'commands'>; db: Db; catalog: () => Promise<Catalog> },
  wishes: readonly TaskWish[],
  {
    by,
    actor,
    together,
    mayMeet,
    now = Date.now(),
  }: {
    by?: string
    actor?: AddedBy
    together?: Together
    mayMeet?: (other: Task) => boolean
    now?: number
  } = {},
): Promise<StoredTask[]> => {
  if (!Array.isArray(wishes))
    throw new BgtaskError('refused', `The tasks are ${showValue(wishes)}; they must be an array of { action, params, options }.`)
  if (wishes.length === 0) return []
  const actions = await catalog()
  const checked: { task: NewTask; trx: CallerTransaction | undefined }[] = []
  for (const [index, wish] of wishes.entries())
    checked.push(await checkedWish({ config, actions, actor }, wish, { by, now }, wishes.length > 1 ? index : null))
  const trx = oneTransaction(checked.map(one => one.trx))
  const tasks = checked.map(one => one.task)
  if (trx) {
    if (actor)
      throw new BgtaskError('refused', 'A trx is the application’s own: what is added within it is told by the creator of the task.')
    await requireSameDatabase(db, trx)
    // The caller's plugins (camel case names, say) are for the caller's own queries.
    return insertTasks(db, tasks, { now, trx: trx.withoutPlugins() as CallerTransaction, ...(mayMeet ? { mayMeet } : {}) })
  }
  return storeChecked({ config, db }, tasks, {
    now,
    ...(actor ? { actor } : {}),
    ...(together ? { together } : {}),
    ...(mayMeet ? { mayMeet } : {}),
  })
}

/** What is done in the transaction that stores the tasks: without it nothing is stored. */
export type Together = (stored: StoredTask[], trx: CallerTransaction) => Promise<void>

/** The same for tasks that have been checked (`checkTask`). */
export const storeChecked = async (
  { config, db }: { config: Pick<Config, 'runtime'>; db: Db },
  tasks: readonly NewTask[],
  {
    actor,
    together,
    mayMeet,
    now = Date.now(),
  }: { actor?: AddedBy; together?: Together; mayMeet?: (other: Task) => boolean; now?: number } = {},
): Promise<StoredTask[]> => {
  const audit = actor ? auditOf(db, actor) : null
  const all: Together = async (inserted, trx) => {
    await together?.(inserted, trx)
    await audit?.(inserted, trx)
  }
  const stored = await insertTasks(db, tasks, {
    now,
    ...(audit || together ? { together: all } : {}),
    ...(mayMeet ? { mayMeet } : {}),
  })
  if (stored.some(({ task, added, updated }) => (added || updated) && !isFinal(task.state))) ring(config.runtime)
  return stored
}

const auditOf = (db: Db, actor: AddedBy) => async (inserted: StoredTask[], trx: CallerTransaction) => {
  const added = inserted.filter(one => one.added || one.updated)
  if (added.length > 0) await noteAct(db, actor, actOf(actor, added), trx)
}

const actOf = ({ act, detail }: AddedBy, added: readonly StoredTask[]): Act => {
  const [first] = added
  const ids = added.map(({ task }) => task.id)
  if (!first || ids.length > 1) {
    const actions = [...new Set(added.map(({ task }) => task.action))].slice(0, 20).join(', ')
    return { act: act ?? 'tasks-added', subject: String(ids.length), detail: `${actions}; ids ${Math.min(...ids)} to ${Math.max(...ids)}` }
  }
  const { task, replaced, updated } = first
  const overwritten = updated ? `in place of ${task.superseded} earlier with this unique key` : undefined
  const more = [detail, overwritten, replaced === null ? undefined : `replacing task ${replaced}`].filter(part => part !== undefined)
  return { act: act ?? 'task-added', subject: String(task.id), detail: [task.action, ...more].join(', ') }
}

const checkedWish = async (
  { config, actions, actor }: { config: CommandsConfig; actions: Catalog; actor: Actor | undefined },
  wish: unknown,
  about: { by: string | undefined; now: number },
  index: number | null,
) => {
  try {
    if (typeof wish !== 'object' || wish === null || Array.isArray(wish)) {
      throw new BgtaskError('refused', `A task is given as ${showValue(wish)}; it must be an object with action, params and options.`)
    }
    const strange = Object.keys(wish).find(key => key !== 'action' && key !== 'params' && key !== 'options')
    if (strange)
      throw new BgtaskError('refused', `${showValue(strange)} stands beside the action; allowed there are action, params and options.`)
    const { action, params, options } = await asCommandWish(config, wish as TaskWish, actor)
    return await checkTask(actions, action, params, options, about)
  } catch (error) {
    if (index === null || !(error instanceof BgtaskError)) throw error
    throw new BgtaskError(error.code, `Task ${index + 1} of the list: ${error.message} None of them is stored.`, { cause: error })
  }
}

const oneTransaction = (transactions: (CallerTransaction | undefined)[]): CallerTransaction | undefined => {
  const [first] = transactions
  if (transactions.every(one => one === first)) return first
  throw new BgtaskError('refused', 'Some of the tasks have another trx than the first, or none; give all of them the same.')
}
