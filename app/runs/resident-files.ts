import type { ResidentOptions } from '../task/resident-options.ts'
import type { Json } from '../task/task.ts'
import { makeFolder } from './make-folder.ts'
import type { RunEnd } from './outcome-file.ts'
import type { ProcessIdentity } from './process-identity.ts'
import type { StartedWith } from './started-with.ts'
import type { StopRequest } from './stop-file.ts'
import { readJson, writeJson } from './write-file.ts'

/*
 * A resident runner and the supervisor meet in one folder, runtime/residents/<name>/, as a run and the supervisor do in the run's:
 *
 *   resident.json     written by the supervisor before the spawn, and once more when the process is known
 *   handed-<n>.ndjson appended to by the supervisor: the tasks, and what else it wants, a line each
 *   told-<n>.ndjson   appended to by the resident: that it is ready, what it has begun, how each ended
 *   beat.json         once a second while it has something to do
 *   output.log        what is printed outside of any task, and by what does not go through this process's streams
 *   end.json          why the supervisor ended it, written before the signal
 *
 * Files and not a socket: a folder and a handful of files for each task would cost more than most such tasks, a line costs some microseconds. And
 * whoever dies, nothing is lost: each side finds the other's lines where they lie. A supervisor that was killed is followed by one that reads on;
 * a resident that was killed has left, in told, what it had begun (written before the action is called) and what had ended (written before the
 * next one begins), and in handed what it had not come to. The kernel keeps what a killed process has written; a power cut may take the newest
 * lines. What counts after that is the claim, which is in the database before a task is handed: a run without an end in told has crashed, and is
 * run again, as is promised. So nothing is synced here.
 *
 * Both files go over to the next <n> now and then, so that they do not grow without end: the supervisor says `next` in handed, the resident says it
 * in told, and begins the next one with what it holds. A pair is removed when all that it tells of is in the database.
 */
export interface ResidentTicket {
  name: string
  action: string
  /** Absolute path of the action's file, and the export that is called. */
  file: string
  exportName: string
  options: ResidentOptions
  host: string
  epoch: string
  /** The value of BGTASK_RUN in its environment and in that of all it starts. */
  mark: string
  /** Its runs' outputs are rotated beyond this. */
  outputBytes: number
  startedAt: number
  /** The code and the versions that it is started with; absent in tickets of older versions. */
  startedWith?: StartedWith
  /** Absent until the process is known. */
  process?: ProcessIdentity
}

/** A task as it is handed over; `params` is in the same line. */
export interface HandedTask {
  id: number
  uid: string
  /** Of the run. */
  number: number
  /** It is the so-manieth task of this resident. */
  nth: number
  type: string
  creator: string
  attempt: number
  timeoutMs: number | null
  graceMs: number
}

/** A line of handed. */
export type Handed =
  | { task: HandedTask; params: Json }
  /** End this run: one that has not begun is left alone. */
  | { stop: string; why: StopRequest['why'] }
  /** Begin nothing more, give back what has not begun, and go when the rest has ended. */
  | { leave: string }
  | { next: number }

/** A line of told. Runs are named `<task>-<number>`. */
export type Told =
  | { ready: number }
  /** The action does not load; the process leaves. */
  | { broken: string }
  | { began: string; at: number }
  | { ended: string; end: RunEnd }
  /** Never begun, and never will be. */
  | { back: string[] }
  | { next: number }
  /** At the beginning of a file: what it holds, and since when; 0: not begun. */
  | { held: [name: string, beganAt: number][] }

/** What a resident says of itself while it has something to do; one that does not for some seconds is blocked, or stopped. */
export interface ResidentBeat {
  at: number
  memoryBytes: number
}

/** Why the supervisor made a resident end: the others that it held are not to blame. */
export interface ResidentVerdict {
  why: string
  /** Names of the runs that did not end when they were asked to, each with what they were asked. */
  culprits: { name: string; why: StopRequest['why']; graceMs: number }[]
}

export const residentPaths = (folder: string) => ({
  folder,
  ticket: `${folder}/resident.json`,
  beat: `${folder}/beat.json`,
  output: `${folder}/output.log`,
  rotatedOutput: `${folder}/output.log.1`,
  end: `${folder}/end.json`,
  handed: (nth: number) => `${folder}/handed-${nth}.ndjson`,
  told: (nth: number) => `${folder}/told-${nth}.ndjson`,
})

export const writeResidentTicket = (folder: string, ticket: ResidentTicket): void => {
  makeFolder(folder)
  writeJson(residentPaths(folder).ticket, ticket)
}
export const readResidentTicket = (folder: string): ResidentTicket | null => readJson<ResidentTicket>(residentPaths(folder).ticket)
export const readResidentBeat = (folder: string): ResidentBeat | null => readJson<ResidentBeat>(residentPaths(folder).beat)

/** The line of a run that succeeded, said nothing and has no folder is short, since most are. `outputBytes` is null only without a folder. */
export const endedLine = (name: string, end: RunEnd): string =>
  end.kind === 'succeeded' && end.content === null && (end.outputBytes ?? null) === null
    ? `{"done":"${name}","at":${end.endedAt}}\n`
    : `${JSON.stringify({ ended: name, end })}\n`

/** @returns null for a line that was cut off by a full disk or a crash */
export const parseTold = (line: string): Told | null => {
  const value = parse(line) as (Told & { done?: string; at?: number }) | null
  if (value?.done === undefined) return value
  return { ended: value.done, end: { ...succeeded, endedAt: value.at! } }
}
export const parseHanded = (line: string): Handed | null => parse(line) as Handed | null

const succeeded: Omit<RunEnd, 'endedAt'> = {
  kind: 'succeeded',
  content: null,
  error: null,
  exitCode: 0,
  signal: null,
  iterations: null,
  peakMemoryBytes: null,
  cpuMs: null,
  outputBytes: null,
}

const parse = (line: string): object | null => {
  try {
    const value = JSON.parse(line) as unknown
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    return null
  }
}
