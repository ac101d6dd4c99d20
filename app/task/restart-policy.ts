import { exitMisconfigured, type OutcomeKind } from './outcome.ts'

/** The rule by which an ended loop is started again. A page can show it, and `decideRestart` obeys it. */
export interface RestartPolicy {
  /** A life at least this long, or of this many iterations, was healthy. */
  healthyMs: number
  healthyIterations: number
  /** A life that ended itself by its recycling rule is followed at once by the next if it lasted this long. */
  recycledMs: number
  backoffMinMs: number
  backoffMaxMs: number
  /** More failures than `failures` within `withinMs` trip the loop. */
  budgets: readonly { failures: number; withinMs: number }[]
  /** Waits before the probes of a tripped loop; the last one repeats. */
  probeMs: readonly number[]
}

export const restartPolicy: RestartPolicy = {
  healthyMs: 60_000,
  healthyIterations: 10,
  recycledMs: 5_000,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  budgets: [
    { failures: 5, withinMs: 120_000 },
    { failures: 20, withinMs: 3_600_000 },
  ],
  probeMs: [300_000, 600_000, 1_200_000, 1_800_000],
}

/** What the rule remembers of a loop; it can be made anew from the loop's last runs (`recallFailures`). */
export interface RestartMemory {
  /** Ends that count as failures, newest last, no older than the longest budget. */
  failedAt: readonly number[]
  /** Failures since the last healthy life. */
  inARow: number
  /** Probes made since the loop tripped; 0 when it is not tripped. */
  probes: number
}
export const freshMemory: RestartMemory = { failedAt: [], inARow: 0, probes: 0 }

/** One ended life of a loop. */
export interface Life {
  startedAt: number
  endedAt: number
  iterations: number
  outcome: OutcomeKind
  exitCode: number | null
  recycled: boolean
}

export type Restart =
  | { kind: 'at-once'; why: 'recycled' | 'interrupted' | 'healthy' | 'isolated' }
  | { kind: 'backing-off'; delayMs: number; failures: number }
  | { kind: 'tripped'; delayMs: number; failures: number; misconfigured: boolean }

/** @param random a number in [0, 1) that spreads the waits, so that loops felled together do not rise together */
export const decideRestart = (
  memory: RestartMemory,
  life: Life,
  random: number,
  policy: RestartPolicy = restartPolicy,
): { restart: Restart; memory: RestartMemory } => {
  const healthy = isHealthy(life, policy)
  const before = healthy ? freshAfterHealth(memory) : memory
  if (life.outcome === 'interrupted' || life.outcome === 'cancelled')
    return { restart: { kind: 'at-once', why: 'interrupted' }, memory: before }
  if (life.recycled) {
    if (healthy || life.endedAt - life.startedAt >= policy.recycledMs)
      return { restart: { kind: 'at-once', why: 'recycled' }, memory: before }
    // A limit that is reached as soon as it starts is a mistake, but no failure: it is slowed, not tripped.
    const inARow = before.inARow + 1
    return { restart: { kind: 'backing-off', delayMs: backoffMs(inARow, random, policy), failures: inARow }, memory: { ...before, inARow } }
  }
  if (life.outcome === 'succeeded' && healthy) return { restart: { kind: 'at-once', why: 'healthy' }, memory: before }

  const longestMs = Math.max(...policy.budgets.map(budget => budget.withinMs))
  const failedAt = [...before.failedAt, life.endedAt].filter(at => at > life.endedAt - longestMs && at <= life.endedAt)
  const inARow = before.inARow + 1
  const misconfigured = life.exitCode === exitMisconfigured
  const overBudget = policy.budgets.some(({ failures, withinMs }) => failedAt.filter(at => at > life.endedAt - withinMs).length > failures)
  if (misconfigured || overBudget || before.probes > 0) {
    const waitMs = policy.probeMs[Math.min(before.probes, policy.probeMs.length - 1)]!
    const delayMs = Math.round(waitMs * (1 + 0.1 * random))
    return {
      restart: { kind: 'tripped', delayMs, failures: inARow, misconfigured },
      memory: { failedAt, inARow, probes: before.probes + 1 },
    }
  }
  const next = { failedAt, inARow, probes: 0 }
  if (inARow === 1) return { restart: { kind: 'at-once', why: 'isolated' }, memory: next }
  return { restart: { kind: 'backing-off', delayMs: backoffMs(inARow - 1, random, policy), failures: inARow }, memory: next }
}

export const isHealthy = (life: Pick<Life, 'startedAt' | 'endedAt' | 'iterations'>, policy: RestartPolicy = restartPolicy) =>
  life.endedAt - life.startedAt >= policy.healthyMs || life.iterations >= policy.healthyIterations

/**
 * Whether the failures so far are forgiven: none of the budgets is used up by more than half. A loop that has just come to be healthy and that the
 * next failure would trip at once has not recovered, and one that is a little below its budget is no better.
 */
export const areForgiven = ({ failedAt }: RestartMemory, now: number, { budgets }: RestartPolicy = restartPolicy): boolean =>
  budgets.every(({ failures, withinMs }) => failedAt.filter(at => at > now - withinMs && at <= now).length <= failures / 2)

/** Rebuilds the memory from a loop's ended runs, oldest first, as when a new supervisor takes over. */
export const recallFailures = (lives: readonly Life[], policy: RestartPolicy = restartPolicy): RestartMemory =>
  lives.reduce((memory, life) => decideRestart(memory, life, 0, policy).memory, freshMemory)

/** Wait before start `n` (from 1) after failures in a row: doubles from 1 s to 60 s, of which the upper half is random. */
export const backoffMs = (n: number, random: number, { backoffMinMs, backoffMaxMs }: RestartPolicy = restartPolicy) =>
  Math.round(Math.min(backoffMaxMs, backoffMinMs * 2 ** (Math.min(n, 30) - 1) * (1 + random)))

// A healthy life makes the next failure an isolated one, but the budgets still see what failed within their windows.
const freshAfterHealth = (memory: RestartMemory): RestartMemory => ({ failedAt: memory.failedAt, inARow: 0, probes: 0 })
