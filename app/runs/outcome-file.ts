import type { EndFacts } from '../task/end-facts.ts'
import { type Outcome, outcomeKinds } from '../task/outcome.ts'
import type { StartFacts } from '../task/start-facts.ts'
import type { KeptArtifact } from './artifacts-file.ts'
import { writeHanded } from './handed-files.ts'
import type { runPaths } from './runtime-folder.ts'
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
  /** With what it was started; read from its ticket when it has ended badly. */
  startFacts?: StartFacts
  /** The files that it declared to have made; read from its folder when it has ended. */
  artifacts?: KeptArtifact[]
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

/** The same for a run of another user, into the file that it was handed. */
export const sayOutcome = (descriptor: number, end: RunEnd): void => writeHanded(descriptor, JSON.stringify(end))

/** How a run ended, by whoever said so first. */
export const readEnd = ({ outcome, said }: Pick<ReturnType<typeof runPaths>, 'outcome' | 'said'>): RunEnd | null =>
  readOutcome(outcome) ?? readOutcome(said)

/** @returns null when there is none, or what lies there says no kind of end: whoever finds it decides by what is seen from outside */
export const readOutcome = (path: string): RunEnd | null => {
  const told = readJson<Record<string, unknown>>(path)
  const kind = outcomeKinds.find(known => known === told?.kind)
  if (!told || !kind) return null
  return {
    kind,
    content: text(told.content),
    error: text(told.error),
    exitCode: number(told.exitCode),
    signal: text(told.signal)?.slice(0, 16) ?? null,
    endedAt: number(told.endedAt) ?? Date.now(),
    iterations: number(told.iterations),
    peakMemoryBytes: number(told.peakMemoryBytes),
    cpuMs: number(told.cpuMs),
    recycled: told.recycled === true,
    facts: factsIn(told.facts),
  }
}

/** Who stopped it is not for a run to say. */
const factsIn = (told: unknown): EndFacts => {
  const uncaught = typeof told === 'object' && told !== null && 'uncaught' in told ? told.uncaught : null
  return uncaught === 'rejection' || uncaught === 'exception' ? { uncaught } : {}
}

// An action may write into its own folder: what comes from there is checked like any input.
const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 65_536).toWellFormed() : null)
const number = (value: unknown) => (typeof value === 'number' && Number.isSafeInteger(Math.round(value)) ? Math.round(value) : null)
