import type { StopFacts } from '../task/end-facts.ts'
import { runPaths } from './runtime-folder.ts'
import { readJson, writeJson } from './write-file.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { existsSync, writeFileSync } = process.getBuiltinModule('node:fs')

/** Why the supervisor asks a run to stop; lies in the run folder as stop.json before the signal is sent. */
export interface StopRequest {
  why: 'cancelled' | 'timed-out' | 'interrupted'
  at: number
  graceMs: number
  /** Who asked; null when it was no person. */
  by: string | null
  /** Absent from those of a resident runner. */
  because?: StopFacts['because']
  stalled?: StopFacts['stalled']
}
export const writeStopRequest = (folder: string, request: StopRequest): void => {
  const path = runPaths(folder).stop
  // It is there already when a run of another user holds it open: that one would not see a new file.
  if (existsSync(path)) writeFileSync(path, `${JSON.stringify(request)}\n`, { mode: 0o600 })
  else writeJson(path, request)
}
export const readStopRequest = (folder: string): StopRequest | null => readJson<StopRequest>(runPaths(folder).stop)
