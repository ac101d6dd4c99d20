import type { RunEnd } from '../runs/outcome-file.ts'
import type { StopRequest } from '../runs/stop-file.ts'
import type { EndFacts } from '../task/end-facts.ts'
import { memorySentence } from '../task/limits.ts'
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
  /** How long after SIGTERM that SIGKILL came; null when it did not, or nobody saw it. */
  killedAfterMs?: number | null
  /** Processes that the kernel ended in its last seconds for want of memory; null: it does not tell. */
  kernelKills?: number | null
  /** The last lines it printed. */
  tail: string
  usage: { peakMemoryBytes: number; cpuMs: number } | null
  iterations: number | null
  /** What bounded it, if anything did, and how often that struck. */
  limits?: { memoryMb: number | null; processes: number | null; outOfMemory: number; refusedForks: number }
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
  facts: factsOf(facts),
})

/**
 * What a run said of its own end, as far as it may be believed: only we can stop a run for a reason of ours. One that says so
 * although nobody here asked got its signal from elsewhere; taken for an interruption it would be run again at once, without end.
 */
export const believe = (told: RunEnd | null, facts: ExitFacts): RunEnd => {
  if (!told) return howItEnded(facts)
  const strikes = told.kind === 'succeeded' ? null : strikesSentence(facts)
  if (strikes) return believe({ ...told, error: [told.error, strikes].filter(Boolean).join('\n') }, { ...facts, limits: undefined })
  const saysStopped = told.kind === 'interrupted' || told.kind === 'cancelled' || told.kind === 'timed-out'
  if (!saysStopped || facts.stop) return { ...told, facts: { ...told.facts, ...factsOf(facts) } }
  return { ...told, kind: 'killed', signal: told.signal ?? 'SIGTERM', error: told.error ?? 'Somebody else sent it SIGTERM.' }
}

const factsOf = ({ stop, signal, killedAfterMs = null, kernelKills = null }: ExitFacts): EndFacts => {
  if (!stop) return signal === 'SIGKILL' && kernelKills !== null ? { kernelKills } : {}
  if (!stop.because) return {}
  const { because, by, at, stalled } = stop
  return { stop: { because, by, at, killedAfterMs, ...(stalled ? { stalled } : {}) } }
}

const kindOf = (facts: ExitFacts): OutcomeKind => {
  const { stop, signal, exitCode } = facts
  if (stop) return stop.why
  if (isOutOfMemory(facts)) return 'out-of-memory'
  if (signal) return 'killed'
  return exitCode === null ? 'lost' : 'exited'
}

const isOutOfMemory = ({ signal, exitCode, tail, limits }: ExitFacts): boolean => {
  const codeIsKnown = signal !== null || exitCode !== null
  // The kernel ends what is beyond the limit of its leaf.
  if (limits?.outOfMemory && (signal === 'SIGKILL' || !codeIsKnown)) return true
  // Or it gives no more, and the program gives up: V8 and the C++ library by abort().
  const gaveUp = signal === 'SIGABRT' || signal === 'SIGTRAP' || exitCode === 134 || exitCode === 133
  return saysOutOfMemory.test(tail) && (gaveUp || (!codeIsKnown && Boolean(limits?.memoryMb)))
}

const saysOutOfMemory =
  /JavaScript heap out of memory|process out of memory|Fatal JavaScript out of memory|Array buffer allocation failed|Failed to allocate memory|std::bad_alloc/

const wordsOf = (facts: ExitFacts): string | null => [endSentence(facts), strikesSentence(facts)].filter(Boolean).join('\n') || null

// What its limits did to a run, besides ending it.
const strikesSentence = ({ limits }: ExitFacts): string | null => {
  if (!limits) return null
  const { memoryMb, processes, outOfMemory, refusedForks } = limits
  const sentences = [
    ...(outOfMemory && memoryMb ? [memorySentence(memoryMb)] : []),
    ...(refusedForks && processes
      ? [`${refusedForks} times it wanted more processes or threads than its limit of ${processes} (processes).`]
      : []),
  ]
  return sentences.join(' ') || null
}

const endSentence = (facts: ExitFacts): string | null => {
  const { stop, forced, exitCode, signal, limits } = facts
  if (!stop && isOutOfMemory(facts) && limits?.memoryMb) return limits.outOfMemory ? null : memorySentence(limits.memoryMb)
  if (stop && forced) return `It did not end within ${stop.graceMs} ms after SIGTERM and was ended by SIGKILL.`
  if (stop) return null
  if (signal) return `Killed by ${signal}.`
  return exitCode === null
    ? 'It ended while no supervisor watched it, and left no outcome.'
    : `The process left with code ${exitCode} without an outcome.`
}
