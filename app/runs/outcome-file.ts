import type { Outcome } from '../task/outcome.ts'
import { readJson } from './write-file.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { linkSync, unlinkSync, writeFileSync } = process.getBuiltinModule('node:fs')

/** How a run ended, as it lies in its folder. */
export interface RunEnd extends Outcome {
  endedAt: number
  iterations: number | null
  peakMemoryBytes: number | null
  cpuMs: number | null
  /** What lies in output.log and output.log.1 at the end. */
  outputBytes?: number | null
}

/** First writer wins: the runner that ends by itself, or the supervisor that found it dead. @returns whether it was this one */
export const writeOutcome = (path: string, end: RunEnd): boolean => {
  const temporary = `${path}.${process.pid}.${process.hrtime.bigint().toString(36)}.tmp`
  writeFileSync(temporary, `${JSON.stringify(end)}\n`, { mode: 0o600, flag: 'wx' })
  try {
    linkSync(temporary, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(temporary)
  }
}
export const readOutcome = (path: string): RunEnd | null => readJson<RunEnd>(path)
