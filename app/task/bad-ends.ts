import { isBadEnd } from './outcome.ts'
import type { Run } from './run.ts'
import type { Task } from './task.ts'

/** A loop is up, but its lives end badly again and again, too seldom to be slowed or tripped. */
export interface BadEnds {
  /** Within the last hour. */
  n: number
  /** When the last of them was: milliseconds since 1970. */
  lastAt: number
}

const withinMs = 3_600_000
const least = 3
/** So far apart are as many as that within that time: a life that lasts longer is over it. */
const overMs = withinMs / least

/**
 * What counts is what was since somebody had it in hand: a restart or a stop begins anew.
 * @param lives the newest of the loop, oldest first, also the one under way
 * @returns null when they are fewer than three, or the last one is long ago
 */
export const badEndsOf = (lives: readonly Pick<Run, 'endedAt' | 'outcome'>[], now: number): BadEnds | null => {
  const ended = lives.filter(({ endedAt, outcome }) => outcome !== null && endedAt !== null && endedAt > now - withinMs)
  const since = ended.slice(ended.findLastIndex(({ outcome }) => outcome === 'interrupted' || outcome === 'cancelled') + 1)
  const bad = since.filter(({ outcome }) => isBadEnd(outcome!))
  const lastAt = bad.at(-1)?.endedAt ?? 0
  return bad.length < least || now - lastAt > overMs ? null : { n: bad.length, lastAt }
}

/** Those of these loops of which it may be so, judged by their rows; who began last comes first. */
export const maybeEndingBadly = <Loop extends Task>(loops: readonly Loop[], now: number): Loop[] =>
  loops
    .filter(
      ({ execType, wanted, state, number, startedAt }) =>
        execType === 'FOREVER' &&
        wanted === 'up' &&
        (state === 'running' || state === 'starting') &&
        number >= least &&
        startedAt !== null &&
        (state === 'starting' || now - startedAt <= overMs),
    )
    .sort((a, b) => b.startedAt! - a.startedAt!)
    .slice(0, mostRead)

/** By one statement. */
const mostRead = 50
