/** Once, or kept up for good. */
export type ExecType = 'ONCE' | 'FOREVER'
export const EXEC_TYPE_ONCE = 'ONCE' satisfies ExecType
export const EXEC_TYPE_FOREVER = 'FOREVER' satisfies ExecType

export const onceStates = ['waiting', 'running', 'succeeded', 'failed', 'cancelled'] as const
export const loopStates = ['stopped', 'starting', 'running', 'stalled', 'backing-off', 'tripped', 'stopping'] as const
export type OnceState = (typeof onceStates)[number]
export type LoopState = (typeof loopStates)[number]
/** Where a task stands: the fact, as against `wanted`, the wish. */
export type TaskState = OnceState | LoopState

/** The wish: a loop is kept up or down; a ONCE task that is wanted down is being cancelled. */
export type Wanted = 'up' | 'down'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A `bg_task` row: the wish that an action be run with these params. All times are milliseconds since 1970. */
export interface Task {
  id: number
  /** Random public id, 16 characters of a-z0-9. */
  uid: string
  action: string
  params: Json
  execType: ExecType
  type: string
  creator: string
  state: TaskState
  wanted: Wanted
  /** What the last run said it achieved. */
  content: string | null
  /** Why the task is in its state, as data; `explain.ts` makes the sentence. */
  reason: Reason | null
  /** Lower runs first; -1000 to 1000, default 0. */
  priority: number
  /** Due time of a ONCE task; the next start of a loop that backs off or is tripped. */
  runAt: number
  uniqueKey: string | null
  /** Failed tries of a ONCE task so far. */
  attempt: number
  maxAttempts: number
  /** null: no limit. */
  timeoutMs: number | null
  graceMs: number
  rerunAfterCrash: boolean
  /** Runs in a row that died without an outcome, counted before each spawn. */
  crashCount: number
  /** Number of the newest run; grows at each start and is the fencing token. */
  number: number
  /** Grows when a person asks for a fresh start now; a run begun under a smaller wish is replaced. */
  wish: number
  /** Calls with keepLast whose params were overwritten by a newer one while it waited. */
  superseded: number
  /** How often people have changed its params or limits since it was added. */
  edits: number
  /** Which supervisor has it: host and its epoch. */
  host: string | null
  epoch: string | null
  createdAt: number
  startedAt: number | null
  finishedAt: number | null
  updatedAt: number
}

/** Why a task is in its state. `at` is when it came to be so; `until` when the next step is due. */
export interface Reason {
  code: ReasonCode
  at: number
  until?: number
  /** Failures in a row. */
  failures?: number
  number?: number
  by?: string
  detail?: string
}

export const reasonCodes = [
  'added', // waits for its first run
  'wished-again', // it had ended, and `by` asked that it be run again
  'due-later', // runAt lies ahead
  'retry', // a try failed, the next one is planned
  'crashed', // the last run died without an outcome, it will be run again
  'interrupted', // a restart or shutdown stopped it, it will be run again
  'waits-for-key', // the task it replaces is still being cancelled
  'waits-for-turn', // keepLast: the task that holds the key has begun and not ended; detail is its id
  'started',
  'adopted', // taken over alive from an earlier supervisor
  'stalled', // no iteration finished within stallMs
  'backing-off',
  'tripped',
  'misconfigured', // exit code 78
  'probing', // a tripped loop is tried once
  'recycled', // ended by maxIterations, maxAgeMs or maxRssMb: a fresh process follows
  'reloading',
  'stopping',
  'cancelling',
  'stopped-by-wish',
  'cancelled',
  'replaced', // by a newer task with the same unique key; detail is its id
  'succeeded',
  'failed', // all tries are used up
  'crashed-for-good', // died maxCrashes times, or rerunAfterCrash is off
  'cannot-load', // the action is not there or does not load
  'survivors', // processes of the run resisted SIGKILL; detail names them
] as const
export type ReasonCode = (typeof reasonCodes)[number]

export const taskDefaults = {
  type: '',
  creator: '',
  priority: 0,
  maxAttempts: 1,
  timeoutMs: null,
  graceMs: 10_000,
  rerunAfterCrash: true,
} as const

/** Runs of a ONCE task that may die without an outcome before it is failed for good. */
export const maxCrashes = 3

export const isFinal = (state: TaskState) => state === 'succeeded' || state === 'failed' || state === 'cancelled'
