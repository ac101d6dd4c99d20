import { addDurations, type Durations } from './durations.ts'

/** What a loop did in one span of time, as its charts show it. */
export interface Sample {
  taskId: number
  /** When the span began: milliseconds since 1970, a multiple of its length. */
  at: number
  spanMs: SampleSpanMs
  /** Iterations that ended in it, those of them that threw, and how long they took. */
  iterations: number
  errors: number
  durations: Durations
  /** CPU time that its processes took. */
  cpuMs: number
  /** Resident memory at the end of the minute, the highest of them in longer spans; null when no process was there. */
  memoryBytes: number | null
  /** What it printed. */
  outputBytes: number
}

/** A minute, ten, an hour. */
export const sampleSpans = [60_000, 600_000, 3_600_000] as const
export type SampleSpanMs = (typeof sampleSpans)[number]

/** How long samples of each span are kept: a while longer than the chart that is drawn of them. */
export const keepSamplesMs: Record<SampleSpanMs, number> = {
  60000: 3 * 3_600_000,
  600000: 26 * 3_600_000,
  3600000: 35 * 86_400_000,
}

/** The beginning of the span that this moment lies in. */
export const spanAt = (now: number, spanMs: SampleSpanMs): number => Math.floor(now / spanMs) * spanMs

/** Several of one loop as one of a longer span. @returns in the order of time */
export const rollUp = (samples: readonly Sample[], spanMs: SampleSpanMs): Sample[] => {
  const longer = new Map<number, Sample>()
  for (const sample of samples) {
    const at = spanAt(sample.at, spanMs)
    const sum = longer.get(at) ?? emptySample(sample.taskId, at, spanMs)
    longer.set(at, sum)
    addSample(sum, sample)
  }
  return [...longer.values()].sort((a, b) => a.at - b.at)
}

export const emptySample = (taskId: number, at: number, spanMs: SampleSpanMs): Sample => ({
  ...{ taskId, at, spanMs, iterations: 0, errors: 0, durations: {} },
  ...{ cpuMs: 0, memoryBytes: null, outputBytes: 0 },
})

const addSample = (sum: Sample, more: Sample): void => {
  sum.iterations += more.iterations
  sum.errors += more.errors
  addDurations(sum.durations, more.durations)
  sum.cpuMs += more.cpuMs
  sum.outputBytes += more.outputBytes
  if (more.memoryBytes !== null) sum.memoryBytes = Math.max(sum.memoryBytes ?? 0, more.memoryBytes)
}
