import type { Beat } from '../runs/beat.ts'
import type { LoopCharts } from './loop-charts.ts'

/** The iteration under way beside those before it. */
export interface ThisIteration {
  /** Milliseconds since 1970; null: none is under way, or only since a moment. */
  startedAt: number | null
  /** null: there are no figures yet. */
  usual: { p50Ms: number; p95Ms: number } | null
  /** It has taken longer already than 95 of 100. */
  isLong: boolean
}

/** Short ones come and go while a page is read. */
const momentMs = 1_000

/** @returns null when there is nothing to tell: neither is one under way, nor do they take as long that one could be seen */
export const thisIteration = (
  beat: Pick<Beat, 'iterationStartedAt' | 'lastIterationMs'> | null,
  charts: Pick<LoopCharts, 'p50Ms' | 'p95Ms'> | null,
  now: number,
): ThisIteration | null => {
  if (beat === null) return null
  const { iterationStartedAt } = beat
  const startedAt = iterationStartedAt === null || now - iterationStartedAt < momentMs ? null : iterationStartedAt
  const p50Ms = charts?.p50Ms ?? null
  const p95Ms = charts?.p95Ms ?? null
  const usual = p50Ms === null || p95Ms === null ? null : { p50Ms, p95Ms }
  // Of long ones the usual length is told between two as well, so that nothing comes and goes.
  if (startedAt === null && Math.max(usual?.p95Ms ?? 0, beat.lastIterationMs ?? 0) < momentMs) return null
  return { startedAt, usual, isLong: startedAt !== null && usual !== null && now - startedAt > usual.p95Ms }
}
