import type { Static, TSchema } from 'typebox'
import type { XStatic } from 'typebox/schema'
import type { ExecType, Json } from '../task/task.ts'
import type { Context } from './context.ts'

/** What an action says of itself besides what it does. Options given with a task go before these. */
export interface ActionOptions<Schema extends object = object> {
  /** One sentence for the form and the list of actions. */
  description?: string
  /** JSON schema of the params, by typebox or written by hand: they are checked before a task is stored, and the form is made from it. */
  params?: Schema
  /**
   * `process` (default): each run has a process of its own. `resident`: its ONCE tasks are handed to a process that stays, with its modules loaded
   * and one database connection. That takes a fraction of a millisecond instead of a process's start, and keeps them less apart: what one task
   * leaves behind in memory, the next one finds; a crash takes all that the process held. Loops have a process of their own in any case.
   */
  isolation?: 'process' | 'resident'
  /** Of a resident: tasks at once in one process. Default 1. */
  concurrency?: number
  /** Of a resident: processes at once. Default 1. */
  residents?: number
  /** Of a resident: a fresh process after so many tasks. Default: never. */
  maxTasks?: number
  /** Of a resident: a fresh process once this one is so old. Default: never. */
  maxAgeMs?: number
  /** Of a resident: a fresh process once this one holds so much resident memory, in MB of 1,000,000 bytes. Default: never. */
  maxRssMb?: number
  /** Of a resident: ends when it has had nothing to do for so long. Default 60,000. */
  idleMs?: number
  /** A ONCE run that takes longer is stopped: outcome `timed-out`. Default: no limit. */
  timeoutMs?: number
  /** Time between the wish to stop and SIGKILL. Default 10,000. */
  graceMs?: number
  /** A loop that finishes no iteration for so long is marked as stalled. Default: not watched. */
  stallMs?: number
  /** A stalled loop is started afresh. Default false. */
  stallRestart?: boolean
  /** Tries of a ONCE task, the first included. Default 1. */
  maxAttempts?: number
  /** What the form suggests. */
  execType?: ExecType
  /**
   * Runs as another user: `name`, `uid`, `name:group` or `uid:gid`. Needs a supervisor that is root. The run has none of root's rights and can get
   * none; it can open nothing below the runtime folder. The file itself is also loaded by the panel's own user, who looks what it exports.
   */
  runAs?: string
  /** No program that it starts gets more rights than it has. Always so with `runAs`. Default false. */
  noNewPrivileges?: boolean
  /** Megabytes of memory, buffers included: a run that needs more is ended as `out-of-memory`. At least 64. Default: no limit. */
  memoryMb?: number
  /** Processes and threads at once; Node itself has a dozen. At least 16. Default: no limit. */
  processes?: number
  /** A run that prints more is ended as failed. Default: its output is only rotated. */
  killOnOutputBytes?: number
  /** With `runAs`: `ctx.db()` and `ctx.addTask` work all the same, if the database is a MySQL server. Default false. */
  database?: boolean
}

/** What `execute` may return: nothing, the content of a success, `success(content)` or `failure(content)`. */
export interface Action<Schema extends object = object> extends ActionOptions<Schema> {
  execute(ctx: Context<ParamsOf<Schema>>): unknown
}

/** The type that a schema stands for, made by typebox or written by hand; any JSON where there is none. */
export type ParamsOf<Schema extends object> = object extends Schema
  ? Json
  : Schema extends TSchema & { '~kind': string }
    ? Static<Schema>
    : XStatic<Schema>

/**
 * Gives an action its types; nothing else happens. A schema written as plain JSON types the params as one made by typebox does, and spares each
 * run the 50 ms that loading typebox takes.
 * @example
 * export default defineAction({
 *   description: 'Greets someone.',
 *   params: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
 *   execute: ctx => `Hello, ${ctx.params.name}.`,
 * })
 */
export const defineAction = <const Schema extends object = object>(action: Action<Schema>): Action<Schema> => action
