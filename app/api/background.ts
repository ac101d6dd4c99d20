import { dirname } from 'node:path'
import { type Catalog, loadCatalog } from '../catalog/catalog.ts'
import { type Config, loadConfig } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { readDatabaseUrl } from '../runs/database-url-file.ts'
import { prepareRuntimeFolder } from '../runs/runtime-folder.ts'
import { type Db, openDatabase } from '../store/database.ts'
import { findTaskByKey } from '../store/find-task.ts'
import { migrate } from '../store/migrate.ts'
import type { Schedule } from '../task/schedule.ts'
import type { ExecType, Task } from '../task/task.ts'
import { type TaskOptions, text } from './check-options.ts'
import { cancelByKey, cancelTask, holderOf, moveTask } from './control.ts'
import { readDueTime } from './read-due-time.ts'
import type { ScheduleOptions } from './schedule-options.ts'
import { type CommandArgs, type CommandOptions, sendCommand } from './send-command.ts'
import { type AddedBy, type StoredTask, storeTasks, type TaskWish, type Together } from './store-tasks.ts'

/** An open database and the map of actions: all that is needed to add tasks and to act on them. */
export interface Background {
  readonly config: Config
  readonly db: Db
  /** The actions as they lie in the folder now. */
  catalog(): Promise<Catalog>
  /**
   * Asks that an action be run with these params, by the supervisor and not here: it answers as soon as the wish is stored.
   *
   * With `trx`, the caller's own Kysely transaction on the same database, the task is stored when that commits and not at all when it
   * rolls back. Nobody here sees the commit, so the supervisor's poll finds it, within a second, instead of at once.
   *
   * It is the application that asks here, so the audit, which tells what people did, has no row of it: `creator` says who it was for.
   * @param action `report/build` is report/build.ts in the actions folder
   * @param params plain JSON, at most 64 kB (65,536 bytes), 32 levels deep, 10,000 keys and items; default {}
   * @param execTypeOrOptions EXEC_TYPE_ONCE (default), EXEC_TYPE_FOREVER, or an object of options
   * @returns the task as stored; with `unique` and `onConflict: 'keep'` the one that has the key already, with `keepLast` the one that waits
   * @throws BgtaskError `refused`, in a sentence that names the field, what was given and what is allowed: nothing is stored;
   * `conflict` with `onConflict: 'reject'`; `database-away`, after which it may be repeated: with a unique key it is added at most once
   */
  addTask(action: string, params?: unknown, execTypeOrOptions?: ExecType | TaskOptions): Promise<Task>
  /**
   * Adds many tasks, all or none, with one round trip per 1,000.
   * @returns in the order given
   * @throws as addTask, naming the first that cannot be by its place in the list, from 1
   */
  addTasks(wishes: readonly TaskWish[]): Promise<Task[]>
  /**
   * Declares a schedule: a ONCE task of the action at each of its times. To be called at each start of the application: saying the same again changes
   * nothing, also where people changed it on the page since; saying something else is applied, and its next time is computed anew. A pause stays.
   * @param name 1 to 50 letters, digits, dots, _ and -; a schedule is known by it
   * @param options.cron five fields, or six with the second first; read in `timeZone` (default UTC). Or `everyMs`, 1 s to 366 days
   * @param options.missed what becomes of due times that passed while no supervisor ran: `once` (default), `all` (the newest 1,000), `skip`
   * @param options.overlap `skip`: no task is made while the last one has not ended. Default `allow`
   * @returns the schedule as it is now, with `nextAt`
   * @throws BgtaskError `refused`, in a sentence that says what is wrong with what
   */
  addSchedule(name: string, options: ScheduleOptions): Promise<Schedule>
  /** Its tasks stay. @returns false when there is none of that name */
  removeSchedule(name: string): Promise<boolean>
  /** All schedules, by name. */
  schedules(): Promise<Schedule[]>
  /** Like addTasks, and says of each whether it was added or an existing one kept. With `actor` it is the act of a person, and audited; `together` is done in the same transaction. */
  storeTasks(
    wishes: readonly TaskWish[],
    options?: { by?: string; actor?: AddedBy; together?: Together; mayMeet?: (other: Task) => boolean },
  ): Promise<StoredTask[]>
  /**
   * Asks that a command of the commands file be run: a program of this machine with arguments of the file's making.
   * @param args values of its parameters, by name
   * @throws BgtaskError `not-found` when the file has no such command, `refused` when a value does not fit, `misconfigured` when the file is wrong
   */
  sendCommand(name: string, args?: CommandArgs, options?: CommandOptions): Promise<Task>
  /** The task that holds the unique key now: it waits or runs. null: the key is free. */
  taskWithKey(unique: string): Promise<Task | null>
  /**
   * One that waits is cancelled at once, one that runs is asked to stop, a loop is stopped. By key, the task that was to follow it
   * (`keepLast`) is cancelled as well.
   * @returns the task as it stands then; null when nothing holds the key
   * @throws BgtaskError `not-found`; `busy` for one that has ended
   */
  cancelTask(which: number | { unique: string }, options?: { by?: string }): Promise<Task | null>
  /**
   * Another due time for a waiting ONCE task.
   * @param when `{ runAt }` or `{ delayMs }`, as for addTask
   * @throws BgtaskError `not-found`, `refused`; `busy` for one that does not wait
   */
  moveTask(which: number | { unique: string }, when: Pick<TaskOptions, 'runAt' | 'delayMs'>, options?: { by?: string }): Promise<Task>
  /** Waits for what is under way, then closes the database. */
  close(): Promise<void>
}

/**
 * Opens the database and brings its tables up to date.
 * @param config default: from the environment and bgtask.config.ts
 * @throws BgtaskError `misconfigured`, `database-away`
 */
export const openBackground = async (config?: Config, options: { migrate?: boolean } = {}): Promise<Background> => {
  const settings = config ?? (await configHere())
  if (databaseLiesIn(settings)) prepareRuntimeFolder(settings.runtime)
  const db = await openDatabase(settings.databaseUrl)
  try {
    if (options.migrate ?? true) await migrate(db)
  } catch (error) {
    await db.close()
    throw error
  }
  return backgroundOf(settings, db)
}

/** The same over a database that is open already; `close` closes it. */
export const backgroundOf = (config: Config, db: Db): Background => {
  const catalog = () => loadCatalog(config)
  const tools = { config, db, catalog }
  const background: Background = {
    ...tools,
    addTask: async (action, params, options) => (await storeTasks(tools, [{ action, params, options }]))[0]!.task,
    addTasks: async wishes => (await storeTasks(tools, wishes)).map(({ task }) => task),
    addSchedule: async (name, options) => (await (await ofSchedules()).declareSchedule(tools, name, options)).schedule,
    removeSchedule: async name => (await ofSchedules()).dropSchedule(tools, name),
    schedules: async () => (await ofSchedules()).allSchedules(tools),
    storeTasks: (wishes, options) => storeTasks(tools, wishes, options),
    sendCommand: async (name, args, options) => (await sendCommand(background, name, args, options)).task,
    taskWithKey: unique => findTaskByKey(db, text('unique', unique, 1, 255)),
    cancelTask: async (which, { by = 'the application' } = {}) => {
      if (typeof which === 'number') return cancelTask(tools, which, by)
      return cancelByKey(tools, text('unique', which.unique, 1, 255), by).catch((error: unknown) => {
        if (error instanceof BgtaskError && error.code === 'not-found') return null
        throw error
      })
    },
    moveTask: async (which, when, { by = 'the application' } = {}) => {
      const runAt = readDueTime(when, Date.now())
      const id = typeof which === 'number' ? which : (await holderOf(tools, text('unique', which.unique, 1, 255))).id
      return moveTask(tools, id, runAt, by, 'all')
    },
    close: () => db.close(),
  }
  return background
}

// Whoever only adds tasks does not load the reading of cron texts.
const ofSchedules = () => import('./schedules.ts')

let shared: Promise<Background> | undefined

/** The one of this process, opened when it is first asked for. */
export const sharedBackground = (): Promise<Background> => {
  if (shared) return shared
  const opening = openBackground()
  shared = opening
  // One that could not be opened is tried anew by the next who asks.
  opening.catch(() => {
    if (shared === opening) shared = undefined
  })
  return opening
}

/** Closes the one of this process, if it is open, so that the process can end by itself. */
export const closeBackground = async (): Promise<void> => {
  const opened = shared
  shared = undefined
  await (await opened)?.close()
}

// Runs do not get DATABASE_URL in their environment; code of theirs that imports us finds it in the file that is meant for them.
const configHere = async (): Promise<Config> => {
  const config = await loadConfig()
  if (!process.env.BGTASK_RUN || process.env.DATABASE_URL) return config
  try {
    return { ...config, databaseUrl: readDatabaseUrl(config.runtime) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return config
    throw error
  }
}

// With a database server the folder may belong to another user, or lie on another machine: nothing of ours has to be in it.
const databaseLiesIn = ({ databaseUrl, runtime }: Config) =>
  databaseUrl.startsWith('sqlite:') && dirname(databaseUrl.slice('sqlite:'.length)) === runtime
