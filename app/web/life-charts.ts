import type { Db } from '../store/database.ts'
import { listSamples } from '../store/samples.ts'
import type { Run } from '../task/run.ts'
import { type Sample, type SampleSpanMs, sampleSpans, spanAt } from '../task/sample.ts'
import { linePath, scaleOf } from './chart-paths.ts'

/** Memory and CPU of one life of a loop, up to its end. */
export interface LifeCharts {
  spanMs: SampleSpanMs
  slots: number
  from: number
  to: number
  charts: LifeChart[]
  /** One for each span of time that is known, oldest first. */
  figures: { at: number; memoryBytes: number | null; cpuPercent: number; iterations: number }[]
}

export interface LifeChart {
  /** Its text is `charts.<key>`. */
  key: 'memory' | 'cpu'
  newest: number | null
  most: number
  path: string
}

const mostSlots = 60

/** In the shortest spans that are still there, and at most the last sixty of them. @returns null when nothing of that time is kept */
export const lifeCharts = async (
  db: Db,
  { taskId, startedAt, endedAt }: Pick<Run, 'taskId' | 'startedAt' | 'endedAt'>,
  now = Date.now(),
): Promise<LifeCharts | null> => {
  for (const spanMs of sampleSpans) {
    const to = spanAt(endedAt ?? now, spanMs) + spanMs
    const from = Math.max(spanAt(startedAt, spanMs), to - mostSlots * spanMs)
    const samples = (await listSamples(db, taskId, spanMs, from)).filter(({ at }) => at < to)
    // Of minutes that are gone but for the last ones the longer spans tell more.
    if (samples.length > 0) return drawLife(samples, { spanMs, from, to })
  }
  return null
}

/** Pure: the same samples make the same charts. */
export const drawLife = (
  samples: readonly Sample[],
  { spanMs, from, to }: { spanMs: SampleSpanMs; from: number; to: number },
): LifeCharts => {
  const slots = Math.round((to - from) / spanMs)
  const inSlots: (Sample | null)[] = Array.from({ length: slots }, () => null)
  for (const sample of samples) {
    const slot = (sample.at - from) / spanMs
    if (slot in inSlots) inSlots[slot] = sample
  }
  const chart = (key: LifeChart['key'], value: (sample: Sample) => number | null): LifeChart => {
    const values = inSlots.map(sample => (sample ? value(sample) : null))
    const most = scaleOf(values)
    return { key, newest: values.findLast(found => found !== null) ?? null, most, path: linePath(values, most) }
  }
  const cpuPercent = ({ cpuMs }: Sample) => Math.round((cpuMs / spanMs) * 1_000) / 10
  return {
    ...{ spanMs, slots, from, to },
    charts: [chart('memory', ({ memoryBytes }) => memoryBytes), chart('cpu', cpuPercent)],
    figures: inSlots.flatMap(sample =>
      sample ? [{ at: sample.at, memoryBytes: sample.memoryBytes, cpuPercent: cpuPercent(sample), iterations: sample.iterations }] : [],
    ),
  }
}
