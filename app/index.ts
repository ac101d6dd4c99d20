import type { Background } from './api/background.ts'
import type { Queue } from './api/queue.ts'
import { currentRun } from './runner/current-run.ts'
import type { Task } from './task/task.ts'
import type { MountedPanel, PanelOptions } from './web/mount-panel.ts'

export type { Background } from './api/background.ts'
export type { OnConflict, TaskOptions } from './api/check-options.ts'
export type { Queue, QueueItem } from './api/queue.ts'
export type { ScheduleOptions } from './api/schedule-options.ts'
export type { CommandArgs, CommandOptions } from './api/send-command.ts'
export type { TaskWish } from './api/store-tasks.ts'
export { type CommandDefinition, defineCommands, type ParameterDefinition } from './commands/define-commands.ts'
export type { CronContext, QueueInfo, QueueInfos, WorkerContext } from './cron/contexts.ts'
export { RequeueItem, SuspendQueue } from './cron/queue-signals.ts'
export { BgtaskError } from './errors.ts'
export type { SendOptions, SendWish, TaskSender } from './remote/task-sender.ts'
export type { Context } from './runner/context.ts'
export { type Action, type ActionOptions, defineAction } from './runner/define-action.ts'
export { execForeverInterval, type IntervalOptions, type Iteration } from './runner/exec-forever-interval.ts'
export type { Log, LogFields } from './runner/log.ts'
export { failure, success, type Verdict } from './task/outcome.ts'
export type { Schedule } from './task/schedule.ts'
/*
 * The library. Actions import it in every run, so only what is light is imported here; what needs a database is when it is called.
 */
export { EXEC_TYPE_FOREVER, EXEC_TYPE_ONCE, type ExecType, type Json, type Task } from './task/task.ts'
export type { MountedPanel, PanelOptions } from './web/mount-panel.ts'

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

/**
 * A queue by its name: items that wait in the database until a cron run works them by the worker that a module names, or whoever claims them does.
 * @example
 * await queue('mails').createItem({ to: 7 })
 * const item = await queue<{ to: number }>('mails').claimItem(60)
 */
export const queue = <Data = unknown>(name: string): Queue<Data> => {
  const opened = async () => (await import('./api/queue.ts')).queueOf<Data>(name, shared)
  return {
    name,
    createItem: async (...given) => (await opened()).createItem(...given),
    claimItem: async (...given) => (await opened()).claimItem(...given),
    deleteItem: async (...given) => (await opened()).deleteItem(...given),
    releaseItem: async (...given) => (await opened()).releaseItem(...given),
    numberOfItems: async () => (await opened()).numberOfItems(),
  }
}

/**
 * Asks for a cron run: the task `core/cron`, which the supervisor starts. While one waits or runs, that one is returned and none is added.
 * @throws BgtaskError `database-away`
 */
export const runCron = async (): Promise<Task> =>
  (await (await import('./api/ask-cron.ts')).askCron(await shared(), { creator: 'runCron()' })).task

/**
 * Declares that an action be run at certain times; to be called at each start, since saying the same again changes nothing.
 * @throws BgtaskError naming what is wrong; nothing is stored then
 * @example
 * await addSchedule('nightly-clean-up', { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'shop/clean-up', missed: 'once' })
 * await addSchedule('poll-feeds', { everyMs: 900_000, action: 'feeds/poll', overlap: 'skip' })
 */
export const addSchedule: Background['addSchedule'] = async (...given) => (await shared()).addSchedule(...given)

/** Its tasks stay. @returns false when there is none of that name */
export const removeSchedule: Background['removeSchedule'] = async (...given) => (await shared()).removeSchedule(...given)

/** All schedules, by name, with their next times. */
export const schedules: Background['schedules'] = async () => (await shared()).schedules()

/**
 * Asks that a command of the commands file be run, and wakes the supervisor on this host: a task like any other, of type `command`.
 * @throws BgtaskError `not-found`, `refused` or `misconfigured`, in a sentence; nothing is stored then
 * @example await sendCommand('deploy', { environment: 'staging', revision: 'a1b2c3d' }, { creator: 'kim' })
 */
export const sendCommand: Background['sendCommand'] = async (...given) => (await shared()).sendCommand(...given)

/** Cancels a task by its id, or whatever holds a unique key: `await cancelTask({ unique: 'teacher:17' })`. */
export const cancelTask: Background['cancelTask'] = async (...given) => (await shared()).cancelTask(...given)

/** Gives a waiting task another due time: `await moveTask({ unique: 'teacher:17' }, { delayMs: 600_000 })`. */
export const moveTask: Background['moveTask'] = async (...given) => (await shared()).moveTask(...given)

/** The task that holds a unique key now, or null. */
export const taskWithKey: Background['taskWithKey'] = async (...given) => (await shared()).taskWithKey(...given)

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

/**
 * The panel in a Fastify application, version 5: `app.register(bgtask, { prefix: '/admin' })`. It keeps to itself: hooks, parsers, sessions and
 * error pages of the application do not reach in, and ours do not reach out.
 * @param app unknown, because the application has a Fastify of its own
 */
const bgtask = async (app: unknown, options: PanelOptions): Promise<void> =>
  (await import('./web/plugin.ts')).registerPanel(app as never, options)
export default Object.assign(bgtask, { [Symbol.for('plugin-meta')]: { fastify: '5.x', name: 'bgtask' } })

/**
 * The panel in any other application: its `handle` answers like a request listener of node:http, for Express `app.use(panel.prefix, panel.handle)`.
 * @throws BgtaskError `misconfigured`, `database-away`
 */
export const mountPanel = async (options?: PanelOptions): Promise<MountedPanel> =>
  (await import('./web/mount-panel.ts')).mountPanel(options)
