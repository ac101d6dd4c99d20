import type { Limits } from '../task/limits.ts'
import type { ExecType, Json } from '../task/task.ts'
import type { Bounds } from './bounds.ts'
import { makeFolder } from './make-folder.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { runPaths } from './runtime-folder.ts'
import type { StartedWith } from './started-with.ts'
import { readJson, writeJson } from './write-file.ts'

/** What a run is: written by the supervisor before the spawn, and once more when the process is known. */
export interface Ticket {
  taskId: number
  uid: string
  number: number
  action: string
  /** Absolute path of the action's file, and the export that is called. */
  file: string
  exportName: string
  params: Json
  execType: ExecType
  type: string
  creator: string
  attempt: number
  timeoutMs: number | null
  graceMs: number
  /** null: the loop is not watched for stalls. */
  stallMs: number | null
  stallRestart: boolean
  epoch: string
  host: string
  wish: number
  /** The value of BGTASK_RUN in the environment of the run and all it starts. */
  mark: string
  startedAt: number
  /** What the action asks of the machine, and how that is given; absent when it asks for nothing. */
  limits?: Limits
  bounds?: Bounds
  /** The code and the versions that it is started with; absent in tickets of older versions. */
  startedWith?: StartedWith
  /** Nothing was known of its file yet: whether it asks to be watched for stalls is learnt while it runs. */
  guessed?: true
  /** Why the action may not be run here: the runner only says so. */
  refusal?: string
  /** The run is handed to a resident runner, as its so-manieth task. */
  resident?: { name: string; nth: number }
  /** Absent until the process is known. */
  process?: ProcessIdentity
}

/** Makes the run folder with its ticket. */
export const writeTicket = (folder: string, ticket: Ticket): void => {
  makeFolder(folder)
  writeJson(runPaths(folder).ticket, ticket)
}
export const readTicket = (folder: string): Ticket | null => readJson<Ticket>(runPaths(folder).ticket)
