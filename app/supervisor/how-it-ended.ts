import type { RunEnd } from '../runs/outcome-file.ts'
import type { StopRequest } from '../runs/stop-file.ts'
import type { OutcomeKind } from '../task/outcome.ts'

/** What was seen of a run's end from outside. */
export interface ExitFacts {
  /** null: somebody else's child, its code went with its parent. */
  exitCode: number | null
  signal: string | null
  endedAt: number
  /** The stop that was asked of it, if any, and whether SIGKILL had to end it. */
  stop: StopRequest | null
  forced: boolean
  /** The last lines it printed. */
  tail: string
  usage: { peakMemoryBytes: number; cpuMs: number } | null
  iterations: number | null
}

/** The end of a run that left no outcome itself. */
export const howItEnded = (facts: ExitFacts): RunEnd => ({
  kind: kindOf(facts),
  content: null,
  error: wordsOf(facts),
  exitCode: facts.exitCode,
  signal: facts.signal,
  endedAt: facts.endedAt,
  iterations: facts.iterations,
  peakMemoryBytes: facts.usage?.peakMemoryBytes ?? null,
  cpuMs: facts.usage?.cpuMs ?? null,
})

/**
 * What a run said of its own end, as far as it may be believed: only we can stop a run for a reason of ours. One that says so
 * although nobody here asked got its signal from elsewhere; taken for an interruption it would be run again at once, without end.
 */
export const believe = (told: RunEnd | null, facts: ExitFacts): RunEnd => {
  if (!told) return howItEnded(facts)
  const saysStopped = told.kind === 'interrupted' || told.kind === 'cancelled' || told.kind === 'timed-out'
  if (!saysStopped || facts.stop) return told
  return { ...told, kind: 'killed', signal: told.signal ?? 'SIGTERM', error: told.error ?? 'Somebody else sent it SIGTERM.' }
}

const kindOf = ({ stop, signal, exitCode, tail }: ExitFacts): OutcomeKind => {
  if (stop) return stop.why
  if (
    /JavaScript heap out of memory|Array buffer allocation failed/.test(tail) &&
    (signal === 'SIGABRT' || signal === 'SIGTRAP' || exitCode === 134)
  ) {
    return 'out-of-memory'
  }
  if (signal) return 'killed'
  return exitCode === null ? 'lost' : 'exited'
}

const wordsOf = ({ stop, forced, exitCode, signal }: ExitFacts): string | null => {
  if (stop && forced) return `It did not end within ${stop.graceMs} ms after SIGTERM and was ended by SIGKILL.`
  if (stop) return null
  if (signal) return `Killed by ${signal}.`
  return exitCode === null
    ? 'It ended while no supervisor watched it, and left no outcome.'
    : `The process left with code ${exitCode} without an outcome.`
}
