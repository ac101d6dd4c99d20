import type { Catalog } from '../catalog/catalog.ts'
import type { Config } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { ring } from '../runs/doorbell.ts'
import type { CallerTransaction, Db } from '../store/database.ts'
import { insertTasks, type NewTask } from '../store/insert-task.ts'
import { type ExecType, isFinal, type Task } from '../task/task.ts'
import type { TaskOptions } from './check-options.ts'
import { checkTask } from './check-task.ts'
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
  /** Id of the task that this one replaces. */
  replaced: number | null
}

/**
 * Checks all of them, then stores all of them in one transaction, and rings the supervisor on this host once they are committed.
 * With the caller's own transaction nobody here sees the commit: the supervisor's next poll, within a second, finds the tasks.
 * @param by who asked, as told on a page when a task was replaced
 * @returns in the order given
 * @throws BgtaskError `refused`: nothing is stored; `conflict`: a unique key is held and `onConflict` is reject
 */
export const storeTasks = async (
  { config, db, catalog }: { config: Pick<Config, 'runtime'>; db: Db; catalog: () => Promise<Catalog> },
  wishes: readonly TaskWish[],
  { by, now = Date.now() }: { by?: string; now?: number } = {},
): Promise<StoredTask[]> => {
  if (!Array.isArray(wishes))
    throw new BgtaskError('refused', `The tasks are ${showValue(wishes)}; they must be an array of { action, params, options }.`)
  if (wishes.length === 0) return []
  const actions = await catalog()
  const checked: { task: NewTask; trx: CallerTransaction | undefined }[] = []
  for (const [index, wish] of wishes.entries())
    checked.push(await checkedWish(actions, wish, { by, now }, wishes.length > 1 ? index : null))
  const trx = oneTransaction(checked.map(one => one.trx))
  const tasks = checked.map(one => one.task)
  if (trx) {
    await requireSameDatabase(db, trx)
    // The caller's plugins (camel case names, say) are for the caller's own queries.
    return insertTasks(db, tasks, { now, trx: trx.withoutPlugins() as CallerTransaction })
  }
  const stored = await insertTasks(db, tasks, { now })
  if (stored.some(({ task, added }) => added && !isFinal(task.state))) ring(config.runtime)
  return stored
}

const checkedWish = async (catalog: Catalog, wish: unknown, about: { by: string | undefined; now: number }, index: number | null) => {
  try {
    if (typeof wish !== 'object' || wish === null || Array.isArray(wish)) {
      throw new BgtaskError('refused', `A task is given as ${showValue(wish)}; it must be an object with action, params and options.`)
    }
    const strange = Object.keys(wish).find(key => key !== 'action' && key !== 'params' && key !== 'options')
    if (strange)
      throw new BgtaskError('refused', `${showValue(strange)} stands beside the action; allowed there are action, params and options.`)
    const { action, params, options } = wish as TaskWish
    return await checkTask(catalog, action, params, options, about)
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
