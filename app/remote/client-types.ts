import type { Edit, EditEffect } from '../task/edit.ts'
import type { Schedule } from '../task/schedule.ts'
import type { ExecType, Task } from '../task/task.ts'
import type { SendOptions } from './task-sender.ts'

export interface TaskClientOptions {
  /** Where the panel is, `https://panel.example.com`. */
  url?: string
  /** The Unix socket of the panel (BGTASK_SOCKET) in place of a url; in Node. It needs no token: whoever may open it may do all that is about tasks. */
  socketPath?: string
  /** `bgt_…` */
  token?: string
  /** Lets the token go by plain http to another machine, where whoever is on the way can read it. Default false. */
  insecure?: boolean
  /** For a whole call, with all its tries. Default 60 s. */
  timeoutMs?: number
  /** Tries after the first. Default 8. */
  retries?: number
}

export interface CallOptions {
  signal?: AbortSignal
  /** For this call. */
  timeoutMs?: number
  /** Of an adding: calls with the same key add once, also from another process. Default: one for each call, so that its own tries add once. */
  idempotencyKey?: string
}

/** A task as the panel tells of it: its row without secrets, and why it is in its state, in sentences. */
export interface RemoteTask extends Task {
  why: string | null
  end: string | null
  next: string | null
}

/** A schedule as the panel tells of it: without the secrets of its params, and with its next times, milliseconds since 1970. */
export interface RemoteSchedule extends Omit<Schedule, 'declared'> {
  next: number[]
}

/** Other params or limits for a task; what is not given stays as it is. */
export interface TaskChanges extends Pick<SendOptions, 'graceMs' | 'timeoutMs' | 'maxAttempts' | 'priority' | 'rerunAfterCrash'> {
  /** All of them. */
  params?: unknown
  /** `restart`: a loop gets a fresh process after its current iteration; `next`: they count from its next start. Default `next`. */
  effect?: EditEffect
  /** The task as it was read: somebody else's change since then is not overwritten. */
  seen?: Pick<Task, 'edits' | 'superseded'>
}

/** A change to the params and limits of a task, as the panel tells of it: without secrets. */
export interface RemoteEdit extends Omit<Edit, 'taskId' | 'touched' | 'before' | 'after'> {
  changes: {
    /** null: it is about the params. */
    limit: string | null
    /** Of a place in the params: its keys with dots between; `params` for all of them. */
    name: string
    /** As JSON; null: it is, or was, not there. */
    from: string | null
    to: string | null
    /** Given anew, and hidden: it may be the same. */
    isHidden: boolean
  }[]
  /** How many there are besides. */
  more: number
}

/** The answer to one of many. */
export type LineAnswer =
  | { line: number; id: number; uid: string; added: boolean; updated: boolean; replaced: number | null }
  | { line: number; error: { code: string; message: string } }

export interface TaskFilter {
  state?: readonly string[]
  execType?: ExecType
  action?: string
  type?: string
  creator?: string
  unique?: string
  limit?: number
  after?: string
  before?: string
}
