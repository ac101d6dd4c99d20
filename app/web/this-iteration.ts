import type { Beat } from '../runs/beat.ts'
import type { LoopCharts } from './loop-charts.ts'

/** The iteration under way beside those before it; null when none is, or only since a moment. */
export interface ThisIteration {
  /** Milliseconds since 1970. */
  startedAt: number
  /** null: there are no figures yet. */
  usual: { p50Ms: number; p95Ms: number } | null
  /** It has taken longer already than 95 of 100. */
  isLong: boolean
}

/** Short ones come and go while a page is read. */
const momentMs = 1_000

export const thisIteration = (
  beat: Pick<Beat, 'iterationStartedAt'> | null,
  charts: Pick<LoopCharts, 'p50Ms' | 'p95Ms'> | null,
  now: number,
): ThisIteration | null => {
  const startedAt = beat?.iterationStartedAt ?? null
  if (startedAt === null || now - startedAt < momentMs) return null
  const p50Ms = charts?.p50Ms ?? null
  const p95Ms = charts?.p95Ms ?? null
  const usual = p50Ms === null || p95Ms === null ? null : { p50Ms, p95Ms }
  return { startedAt, usual, isLong: usual !== null && now - startedAt > usual.p95Ms }
}
