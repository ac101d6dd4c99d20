import type { Background } from './api/background.ts'
import { currentRun } from './runner/current-run.ts'

export type { Background } from './api/background.ts'
export type { OnConflict, TaskOptions } from './api/check-options.ts'
export type { TaskWish } from './api/store-tasks.ts'
export { BgtaskError } from './errors.ts'
export type { Context } from './runner/context.ts'
export { type Action, type ActionOptions, defineAction } from './runner/define-action.ts'
export { execForeverInterval, type IntervalOptions, type Iteration } from './runner/exec-forever-interval.ts'
export type { Log, LogFields } from './runner/log.ts'
export { failure, success, type Verdict } from './task/outcome.ts'
/*
 * The library. Actions import it in every run, so only what is light is imported here; what needs a database is when it is called.
 */
export { EXEC_TYPE_FOREVER, EXEC_TYPE_ONCE, type ExecType, type Json, type Task } from './task/task.ts'

/**
 * Stores the wish that an action be run, and wakes the supervisor on this host. When it returns, the task exists after any crash.
 * The audit tells what people do, so it has no row of this: the application asks, and the option `creator` says for whom.
 * @throws BgtaskError naming what is wrong with the action, its params or an option; nothing is stored then
 * @example
 * await addTask('report/build', { month: '2026-01' })
 * await addTask('mail/poll', {}, EXEC_TYPE_FOREVER)
 * await addTask('mail/remind', { to: 7 }, { delayMs: 3_600_000, unique: 'remind-7', onConflict: 'replace' })
 */
export const addTask: Background['addTask'] = async (...given) => (await shared()).addTask(...given)

/** Many at once: one round trip per 1,000, in the given order, all of them or none. */
export const addTasks: Background['addTasks'] = async (...given) => (await shared()).addTasks(...given)

/** For programs that want a connection of their own, with a configuration of their own; its `close()` ends it. */
export const openBackground: typeof import('./api/background.ts').openBackground = async (...given) =>
  (await import('./api/background.ts')).openBackground(...given)

/** Closes what `addTask` opened, so that a program that has added its tasks can end by itself. */
export const closeBackground = async (): Promise<void> => (await import('./api/background.ts')).closeBackground()

const shared = async (): Promise<Background> => {
  const run = currentRun()
  if (run) return (await import('./runner/database.ts')).openRunBackground(run)
  return (await import('./api/background.ts')).sharedBackground()
}
