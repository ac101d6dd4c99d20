import { writeHanded } from './handed-files.ts'
import { readJson, writeJson } from './write-file.ts'

/** What a live run says of itself, at most once a second. Times are milliseconds since 1970. */
export interface Beat {
  at: number
  pid: number
  /** Iterations finished, and those of them that threw. */
  iterations: number
  errors: number
  /** The iteration under way began then; null between iterations. */
  iterationStartedAt: number | null
  lastIterationMs: number | null
  lastIterationAt: number | null
  lastError: string | null
  nextIterationAt: number | null
  progress: { done: number; total: number | null; note: string | null } | null
  memoryBytes: number
}
/** @param place path of beat.json; or its descriptor, for a run that was handed it */
export const writeBeat = (place: string | number, beat: Beat): void =>
  typeof place === 'number' ? writeHanded(place, JSON.stringify(beat)) : writeJson(place, beat)
export const readBeat = (path: string): Beat | null => readJson<Beat>(path)
