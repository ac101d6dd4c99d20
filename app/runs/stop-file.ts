import { join } from 'node:path'
import { readJson, writeJson } from './write-file.ts'

/** Why the supervisor asks a run to stop; lies in the run folder as stop.json before the signal is sent. */
export interface StopRequest {
  why: 'cancelled' | 'timed-out' | 'interrupted'
  at: number
  graceMs: number
  by: string | null
}
export const writeStopRequest = (folder: string, request: StopRequest): void => writeJson(join(folder, 'stop.json'), request)
export const readStopRequest = (folder: string): StopRequest | null => readJson<StopRequest>(join(folder, 'stop.json'))
