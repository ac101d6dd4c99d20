import type { ExecType, Json } from '../task/task.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { runPaths } from './runtime-folder.ts'
import { readJson, writeJson } from './write-file.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { mkdirSync } = process.getBuiltinModule('node:fs')

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
  /** Absent until the process is known. */
  process?: ProcessIdentity
}

/** Makes the run folder with its ticket. */
export const writeTicket = (folder: string, ticket: Ticket): void => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeJson(runPaths(folder).ticket, ticket)
}
export const readTicket = (folder: string): Ticket | null => readJson<Ticket>(runPaths(folder).ticket)
