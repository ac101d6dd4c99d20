import { type Beat, readBeat } from '../runs/beat.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import type { Db } from '../store/database.ts'
import type { Life } from '../store/list-lives.ts'
import { type LoopMinute, lastSuccessesOf, listMinutesOf } from '../store/loop-minutes.ts'
import { runName } from '../task/run.ts'
import { spanAt } from '../task/sample.ts'
import type { Task } from '../task/task.ts'
import { knownLives, mostLives } from './known-lives.ts'
import type { LifeStrip } from './life-strip.ts'
import { stripOf } from './loop-strips.ts'
import type { Panel } from './panel.ts'

/** What a list of loops shows of one besides its state. */
export interface LoopRow {
  strip: LifeStrip
  /** Starts in the last 24 hours, but for its very first one. */
  restarts: number
  /** There were more of them than is known. */
  hasMoreRestarts: boolean
  /** Iterations a minute, over the last 15 minutes in which it ran; null: nothing is known of them. */
  perMinute: number | null
  /** When an iteration last succeeded, milliseconds since 1970; `recent`: less than 3 minutes ago; null: not since samples are kept, or it has no iterations. */
  lastSuccess: number | 'recent' | null
  /** Of one core, in the last minute; null: it did not run then. */
  cpuPart: number | null
  memoryBytes: number | null
}

/** @param loops of one page @returns in their order */
export const loopRows = async ({ config, background }: Pick<Panel, 'config' | 'background'>, loops: readonly Task[], now = Date.now()) => {
  const { db } = background
  const [lives, figures] = await Promise.all([knownLives(db, loops), knownFigures(db, loops, now)])
  return loops.map((loop, index) => {
    const own = figures[index]!
    const isYoung = own.minutes.length === 0 && loop.state === 'running'
    return loopRow(loop, lives[index]!, own, isYoung ? readBeat(beatPath(config.runtime, loop)) : null, now)
  })
}

/** Pure. @param lives oldest first @param beat of a run that has no minute behind it yet */
export const loopRow = (
  loop: Pick<Task, 'wanted'>,
  lives: readonly Life[],
  { minutes, lastSuccessAt }: LoopFigures,
  beat: Pick<Beat, 'memoryBytes' | 'minutes'> | null,
  now: number,
): LoopRow => {
  const starts = lives.filter(({ startedAt }) => startedAt >= now - dayMs)
  const newest = minutes.at(-1)
  const isFresh = newest !== undefined && newest.at >= spanAt(now, minuteMs) - recentMs
  const begun = beat?.minutes?.findLast(({ iterations, errors }) => iterations > errors)
  const succeededAt = Math.max(lastSuccessAt ?? 0, begun?.at ?? 0)
  return {
    strip: stripOf(loop, lives, now),
    restarts: starts.filter(({ number }) => number > 1).length,
    hasMoreRestarts: lives.length >= mostLives && starts.length === lives.length,
    perMinute: minutes.length === 0 ? null : minutes.reduce((sum, { iterations }) => sum + iterations, 0) / minutes.length,
    // To the second it would change, and the whole list with it, with each iteration of each loop.
    lastSuccess: succeededAt === 0 ? null : succeededAt >= spanAt(now, minuteMs) - recentMs ? 'recent' : succeededAt,
    cpuPart: isFresh ? newest.cpuMs / minuteMs : null,
    memoryBytes: isFresh ? newest.memoryBytes : beat && roundMemory(beat.memoryBytes),
  }
}

interface LoopFigures {
  /** Oldest first. */
  minutes: readonly LoopMinute[]
  lastSuccessAt: number | null
}

const minuteMs = 60_000
const dayMs = 86_400_000
const shownMs = 15 * minuteMs
/** Samples are told of a minute when it is over, and a moment later. */
const recentMs = 2 * minuteMs
/** For so long the figures of a loop are those that were read: there are others once a minute. */
const keptMs = 10_000
const mostKnown = 500

const known = new WeakMap<Db, Map<number, LoopFigures & { readAt: number }>>()

const knownFigures = async (db: Db, loops: readonly Task[], now: number): Promise<LoopFigures[]> => {
  const ofDb = known.get(db) ?? new Map<number, LoopFigures & { readAt: number }>()
  known.set(db, ofDb)
  const old = loops.map(({ id }) => id).filter(id => Math.abs(now - (ofDb.get(id)?.readAt ?? 0)) > keptMs)
  const minutes = await listMinutesOf(db, old, spanAt(now, minuteMs) - shownMs)
  const lastOf = (id: number) => minutes.get(id)?.findLast(({ iterations, errors }) => iterations > errors)?.at
  const earlier = await lastSuccessesOf(
    db,
    old.filter(id => lastOf(id) === undefined),
  )
  for (const id of old) {
    ofDb.delete(id)
    ofDb.set(id, { readAt: now, minutes: minutes.get(id) ?? [], lastSuccessAt: lastOf(id) ?? earlier.get(id) ?? null })
  }
  const answer = loops.map(({ id }) => ofDb.get(id) ?? { minutes: [], lastSuccessAt: null })
  for (const id of ofDb.keys()) {
    if (ofDb.size <= mostKnown) break
    ofDb.delete(id)
  }
  return answer
}

const beatPath = (runtime: string, { id, number }: Pick<Task, 'id' | 'number'>) => runtimePaths(runtime).run(runName(id, number)).beat

/** It changes with each beat. */
const roundMemory = (bytes: number) => Math.round(bytes / 10_000_000) * 10_000_000
