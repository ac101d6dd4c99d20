import { type StallKind, stallKindOf } from './end-facts.ts'

/** An iteration under way that takes far longer than those before it. */
export interface LongIteration {
  /** Milliseconds since 1970. */
  startedAt: number
  /** Half of those before it, and 95 of 100, took at most so long. */
  p50Ms: number
  p95Ms: number
  /** What its process does meanwhile; null: that cannot be told, or not yet. */
  doing: StallKind | null
  /** Its action says how long one may take, and that is not over yet. */
  isWatched: boolean
}

/** Neither is a minute much to wait, nor is ten times as long as usual where that is a moment. */
export const farBeyondMs = 60_000
const farBeyondTimes = 10
/** By fewer nobody knows what is usual. */
export const leastBefore = 20

/** @param usual of those before it; null: there were too few */
export const isFarBeyond = (elapsedMs: number, usual: { p95Ms: number } | null): boolean =>
  usual !== null && elapsedMs > farBeyondMs && elapsedMs > farBeyondTimes * usual.p95Ms

/** How long a process has had something to do so far, as it was at a moment: milliseconds, and milliseconds since 1970. */
export interface BusyAt {
  busyMs: number
  at: number
}

/**
 * What a process does in an iteration, by how long it has had something to do since it began.
 * @param begins of the process and of the iteration @param earlier in the same iteration; between two moments there is no doubt
 * @returns null when one moment leaves it open, since before the iteration it may have had as much to do as there was time
 */
export const doingIn = (
  begins: { processAt: number; iterationAt: number },
  { busyMs, at }: BusyAt,
  earlier: BusyAt | null,
): StallKind | null => {
  if (earlier && at - earlier.at >= leastApartMs) return stallKindOf(busyMs - earlier.busyMs, at - earlier.at)
  const elapsedMs = at - begins.iterationAt
  const least = stallKindOf(busyMs - (begins.iterationAt - begins.processAt), elapsedMs)
  return least === stallKindOf(busyMs, elapsedMs) ? least : null
}
const leastApartMs = 2_000
