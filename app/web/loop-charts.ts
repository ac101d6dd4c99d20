import type { Db } from '../store/database.ts'
import { listSamples } from '../store/samples.ts'
import { addDurations, type Durations, percentileMs } from '../task/durations.ts'
import { type Sample, type SampleSpanMs, spanAt } from '../task/sample.ts'
import { barPath, headPath, linePath, markPath, scaleOf } from './chart-paths.ts'
import { type EventKind, eventKinds, type LoopEvent, listLoopEvents } from './loop-events.ts'

/** What can be looked at: how many spans of which length. */
export const chartSpans = {
  '1h': { spanMs: 60_000, slots: 60 },
  '24h': { spanMs: 600_000, slots: 144 },
  '7d': { spanMs: 3_600_000, slots: 168 },
} as const satisfies Record<string, { spanMs: SampleSpanMs; slots: number }>
export type ChartSpan = keyof typeof chartSpans

export interface LoopChart {
  /** Its text is `charts.<key>`; also says what unit it has. */
  key: 'time' | 'rate' | 'cpu' | 'memory' | 'output'
  /** In the newest span that has one; null: in none. */
  newest: number | null
  /** End of the scale, which begins at 0. */
  most: number
  /** Paths with the class they are drawn by. */
  shapes: { className: string; path: string }[]
}

export interface LoopCharts {
  span: ChartSpan
  slots: number
  from: number
  to: number
  charts: LoopChart[]
  /** Starts in this time, and how many of them followed a bad end. */
  starts: number
  badStarts: number
  /** What happened, oldest first, and the upright lines that stand for it; those of a kind that others are to be told from have heads. */
  events: LoopEvent[]
  /** All that there are, for the key. */
  kinds: readonly EventKind[]
  marks: { kind: EventKind; path: string; heads: string }[]
  iterations: number
  errors: number
  /** Half of the iterations, and 95 of 100, took at most so long; null when there was none. */
  p50Ms: number | null
  p95Ms: number | null
  isEmpty: boolean
}

/** What the charts of a loop show. @param given `span` of the address; what is none is an hour */
export const loopCharts = async (db: Db, taskId: number, given: string | undefined, now = Date.now()): Promise<LoopCharts> => {
  const span = isSpan(given) ? given : '1h'
  const { spanMs, slots } = chartSpans[span]
  const to = spanAt(now, spanMs)
  const from = to - slots * spanMs
  const samples = await listSamples(db, taskId, spanMs, from)
  return drawLoop(samples, await listLoopEvents(db, taskId, from, to), { span, from, to })
}

/** Pure: the same samples and events make the same charts. @param events within the time shown */
export const drawLoop = (
  samples: readonly Sample[],
  events: readonly LoopEvent[],
  { span, from, to }: { span: ChartSpan; from: number; to: number },
): LoopCharts => {
  const { spanMs, slots } = chartSpans[span]
  const inSlots: (Sample | null)[] = Array.from({ length: slots }, () => null)
  for (const sample of samples) {
    const slot = (sample.at - from) / spanMs
    if (slot in inSlots) inSlots[slot] = sample
  }
  const valuesOf = (value: (sample: Sample) => number | null) => inSlots.map(sample => (sample ? value(sample) : null))
  const minutes = spanMs / 60_000
  const halves = valuesOf(({ durations }) => percentileMs(durations, 50))
  const nearlyAll = valuesOf(({ durations }) => percentileMs(durations, 95))
  const errors = valuesOf(sample => sample.errors / minutes)
  const slotsOf = (kind: EventKind) => events.filter(event => event.kind === kind).map(({ at }) => (at - from) / spanMs)
  const all: Durations = {}
  for (const { durations } of samples) addDurations(all, durations)
  return {
    ...{ span, slots, from, to },
    charts: [
      chart('time', halves, nearlyAll, [
        ['chart-line soft', linePath, nearlyAll],
        ['chart-line', linePath, halves],
      ]),
      chart(
        'rate',
        valuesOf(sample => sample.iterations / minutes),
        [],
        [
          ['chart-bar', barPath, valuesOf(sample => sample.iterations / minutes)],
          ['chart-bar bad', barPath, errors],
        ],
      ),
      oneShape(
        'cpu',
        'chart-line',
        linePath,
        valuesOf(sample => (sample.cpuMs / spanMs) * 100),
      ),
      oneShape(
        'memory',
        'chart-line',
        linePath,
        valuesOf(sample => sample.memoryBytes),
      ),
      oneShape(
        'output',
        'chart-bar',
        barPath,
        valuesOf(sample => sample.outputBytes / minutes),
      ),
    ],
    starts: events.filter(({ kind }) => kind !== 'edit').length,
    badStarts: slotsOf('bad-start').length,
    events: [...events],
    kinds: eventKinds,
    marks: eventKinds
      .map(kind => ({ kind, path: markPath(slotsOf(kind)), heads: kind === 'start' ? '' : headPath(slotsOf(kind)) }))
      .filter(({ path }) => path !== ''),
    iterations: samples.reduce((sum, { iterations }) => sum + iterations, 0),
    errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
    p50Ms: percentileMs(all, 50),
    p95Ms: percentileMs(all, 95),
    isEmpty: samples.length === 0,
  }
}

type Values = readonly (number | null)[]
type Draw = (values: Values, most: number) => string

const chart = (
  key: LoopChart['key'],
  values: Values,
  more: Values,
  shapes: [className: string, draw: Draw, values: Values][],
): LoopChart => {
  const most = scaleOf([...values, ...more])
  return {
    key,
    newest: values.findLast(value => value !== null) ?? null,
    most,
    shapes: shapes.map(([className, draw, drawn]) => ({ className, path: draw(drawn, most) })).filter(({ path }) => path !== ''),
  }
}

const oneShape = (key: LoopChart['key'], className: string, draw: Draw, values: Values) =>
  chart(key, values, [], [[className, draw, values]])

const isSpan = (given: string | undefined): given is ChartSpan => given !== undefined && Object.hasOwn(chartSpans, given)
