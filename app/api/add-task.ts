import type { ExecType, Task } from '../task/task.ts'
import { sharedBackground } from './background.ts'
import type { TaskOptions } from './check-options.ts'

/**
 * Asks that an action be run with these params, by the supervisor and not here: it answers as soon as the wish is stored.
 *
 * @param action `report/build` is app/actions/report/build.ts
 * @param params plain JSON, at most 64 kB, at most 32 levels deep and 10,000 keys; default {}
 * @param execTypeOrOptions EXEC_TYPE_ONCE (default), EXEC_TYPE_FOREVER, or an object of options
 * @returns the task as stored; with `unique` and `onConflict: 'keep'` the one that has the key already
 * @throws BgtaskError `refused` with a sentence that names the field, what was given and what is allowed: nothing is stored;
 * `conflict` with `onConflict: 'reject'`; `database-away`. After any error it may be repeated; with a unique key it is then added at most once.
 *
 * With `trx`, the caller's own Kysely transaction on the same database, the task is stored when that commits and not at all when it
 * rolls back. Nobody here sees the commit, so it is found by the supervisor's poll, within a second, instead of at once.
 */
export const addTask = async (action: string, params?: unknown, execTypeOrOptions?: ExecType | TaskOptions): Promise<Task> =>
  (await sharedBackground()).addTask(action, params, execTypeOrOptions)
