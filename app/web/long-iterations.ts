import { type Beat, readBeat } from '../runs/beat.ts'
import { busyMs } from '../runs/busy-time.ts'
import { isAlive } from '../runs/process-identity.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { readTicket, type Ticket } from '../runs/ticket.ts'
import type { Db } from '../store/database.ts'
import { listSamples } from '../store/samples.ts'
import { addDurations, type Durations, percentileMs } from '../task/durations.ts'
import { type BusyAt, doingIn, farBeyondMs, isFarBeyond, type LongIteration, leastBefore } from '../task/long-iteration.ts'
import { runName } from '../task/run.ts'
import { type SampleSpanMs, spanAt } from '../task/sample.ts'
import type { Task } from '../task/task.ts'
import type { Panel } from './panel.ts'

/**
 * Those of these loops, as far as they run here, of which the iteration under way takes far longer than those before it. Pages are made anew all the time
 * that somebody looks on: a beat is read again after some seconds, what was usual before an iteration is read once.
 * @returns by the id of the task
 */
export const longIterations = async (
  { config, background }: Pick<Panel, 'config' | 'background'>,
  loops: readonly Task[],
  now = Date.now(),
): Promise<ReadonlyMap<number, LongIteration>> => {
  const { db } = background
  const found = new Map<number, LongIteration>()
  let reads = 0
  for (const loop of loops.filter(({ execType, state }) => execType === 'FOREVER' && state === 'running')) {
    const name = runName(loop.id, loop.number)
    const startedAt = beginOf(config.runtime, name, now)
    if (startedAt === null || now - startedAt <= farBeyondMs) continue
    const key = `${loop.id} ${startedAt}`
    const known = knownUsual(db, key, now)
    if (known === undefined && ++reads > mostReads) continue
    const usual = known === undefined ? keepUsual(db, key, await usualBefore(db, loop.id, startedAt), now) : known
    if (usual === null || !isFarBeyond(now - startedAt, usual)) continue
    const ticket = readTicket(runtimePaths(config.runtime).run(name).folder)
    found.set(loop.id, {
      startedAt,
      ...usual,
      doing: ticket && doingNow(ticket, startedAt, now),
      isWatched: typeof ticket?.stallMs === 'number',
    })
  }
  return found
}

/** Of a process that is there. Its first measure in an iteration is kept, so that the next one leaves no doubt. */
const doingNow = ({ process, mark, startedAt: processAt }: Ticket, iterationAt: number, now: number): LongIteration['doing'] => {
  if (process === undefined || !isAlive(process)) return null
  const busy = { busyMs: busyMs(process.pid), at: now }
  const key = `${mark} ${iterationAt}`
  const earlier = measures.get(key) ?? null
  if (earlier === null) {
    measures.set(key, busy)
    forgetFirst(measures)
  }
  return doingIn({ processAt, iterationAt }, busy, earlier)
}
const measures = new Map<string, BusyAt>()

interface Usual {
  p50Ms: number
  p95Ms: number
}

const minuteMs = 60_000
/** Loops of which it is read at once what is usual; of the others it is the next time. */
const mostReads = 5
/** As many as there may be loops here; beyond that some are looked at more often. */
const mostKept = 5_000

/** When the iteration under way began. One that blocks the event loop from its first moment on could not say so: then, when it was to begin. */
const beginOf = (runtime: string, name: string, now: number): number | null => {
  const key = `${runtime} ${name}`
  const kept = begins.get(key)
  if (kept && Math.abs(now - kept.readAt) < (kept.startedAt === null ? lookAgainMs : lookAgainAtLongMs)) return kept.startedAt
  const startedAt = startedIn(readBeat(runtimePaths(runtime).run(name).beat), now)
  begins.delete(key)
  begins.set(key, { readAt: now, startedAt })
  forgetFirst(begins)
  return startedAt
}
const startedIn = (beat: Beat | null, now: number): number | null => {
  const startedAt = beat?.iterationStartedAt ?? beat?.nextIterationAt ?? null
  return startedAt !== null && now - startedAt > soonMs ? startedAt : null
}
const begins = new Map<string, { readAt: number; startedAt: number | null }>()
/** One that is no older comes to be a long one only after the next look. */
const soonMs = farBeyondMs / 2
const lookAgainMs = 10_000
/** One that is over at last is not called long any more. */
const lookAgainAtLongMs = 900

/** undefined: it has to be read. */
const knownUsual = (db: Db, key: string, now: number): Usual | null | undefined => {
  const kept = usuals.get(db)?.get(key)
  // Its last minute may not have been written yet.
  if (kept === undefined || (kept.usual === null && now - kept.readAt > minuteMs / 2)) return undefined
  return kept.usual
}
const keepUsual = (db: Db, key: string, usual: Usual | null, now: number): Usual | null => {
  const ofDb = usuals.get(db) ?? new Map<string, { usual: Usual | null; readAt: number }>()
  usuals.set(db, ofDb)
  ofDb.delete(key)
  ofDb.set(key, { usual, readAt: now })
  forgetFirst(ofDb)
  return usual
}
const usuals = new WeakMap<Db, Map<string, { usual: Usual | null; readAt: number }>>()

/** The samples of a longer time are kept longer, and hold what a loop with few iterations did. */
const looks: readonly { spanMs: SampleSpanMs; backMs: number }[] = [
  { spanMs: 60_000, backMs: 3_600_000 },
  { spanMs: 600_000, backMs: 86_400_000 },
  { spanMs: 3_600_000, backMs: 7 * 86_400_000 },
]

/** What is usual of a loop, by its iterations before this moment. @returns null when there were too few */
const usualBefore = async (db: Db, taskId: number, startedAt: number): Promise<Usual | null> => {
  for (const { spanMs, backMs } of looks) {
    const all: Durations = {}
    const samples = await listSamples(db, taskId, spanMs, spanAt(startedAt - backMs, spanMs))
    for (const { at, durations } of samples) if (at <= startedAt) addDurations(all, durations)
    if (Object.values(all).reduce((sum, count) => sum + count, 0) < leastBefore) continue
    return { p50Ms: percentileMs(all, 50)!, p95Ms: percentileMs(all, 95)! }
  }
  return null
}

const forgetFirst = (map: Map<string, unknown>) => {
  for (const key of map.keys()) {
    if (map.size <= mostKept) return
    map.delete(key)
  }
}
