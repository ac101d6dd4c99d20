import type { Durations } from '../task/durations.ts'
import type { ThrownError } from '../task/thrown-errors.ts'
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
  /** When an iteration was last finished that did not throw. Runners of older code tell nothing of it. */
  lastSuccessAt?: number | null
  lastError: string | null
  nextIterationAt: number | null
  progress: { done: number; total: number | null; note: string | null } | null
  memoryBytes: number
  /** What was done in the minute under way and the last ones in which something was, oldest first; a few. Runners of older code tell nothing of it. */
  minutes?: BeatMinute[]
  /** What iterations threw that the loop went on after, equal ones together; a few. Absent while there is none. */
  thrown?: ThrownError[]
}

/** Iterations that ended in one minute of the clock, as in task/sample.ts. */
export interface BeatMinute {
  /** When it began. */
  at: number
  iterations: number
  errors: number
  durations: Durations
}
/** @param place path of beat.json; or its descriptor, for a run that was handed it */
export const writeBeat = (place: string | number, beat: Beat): void =>
  typeof place === 'number' ? writeHanded(place, JSON.stringify(beat)) : writeJson(place, beat)
export const readBeat = (path: string): Beat | null => readJson<Beat>(path)

/** When an iteration was last finished that did not throw (milliseconds since 1970); null: none was, or it is not known. */
export const lastSuccessOf = ({ lastSuccessAt, lastIterationAt, errors }: Beat): number | null =>
  lastSuccessAt ?? (errors === 0 ? lastIterationAt : null)
