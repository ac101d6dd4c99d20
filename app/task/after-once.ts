import { exitMisconfigured, type Outcome, type OutcomeKind } from './outcome.ts'
import { maxCrashes, type OnceState, type Reason, type Task } from './task.ts'

/** What becomes of a ONCE task after a run of it ended. */
export interface AfterOnce {
  state: OnceState
  attempt: number
  crashCount: number
  runAt: number
  content: string | null
  reason: Reason
}

/** The waits between failed tries: doubles from 1 s to 10 min, of which the upper half is random. */
export const retryDelayMs = (attempt: number, random: number) =>
  Math.round(Math.min(600_000, 1000 * 2 ** (Math.min(attempt, 20) - 1) * (1 + random)))

const verdicts = {
  succeeded: 'succeed',
  failed: 'retry',
  'timed-out': 'retry',
  cancelled: 'cancel',
  interrupted: 'again',
  exited: 'crash',
  killed: 'crash',
  'out-of-memory': 'crash',
  lost: 'crash',
} as const satisfies Record<OutcomeKind, 'succeed' | 'retry' | 'cancel' | 'again' | 'crash'>

/**
 * @param task as it stood while running: its crash count already holds this run, counted before the spawn
 * @param random a number in [0, 1) that spreads the retries
 */
export const afterOnce = (
  task: Pick<Task, 'attempt' | 'maxAttempts' | 'crashCount' | 'rerunAfterCrash' | 'runAt' | 'wanted' | 'number'>,
  outcome: Outcome,
  now: number,
  random: number,
): AfterOnce => {
  const base = { attempt: task.attempt, crashCount: 0, runAt: task.runAt, content: outcome.content }
  const reason = (code: Reason['code'], more: Partial<Reason> = {}): Reason => ({ code, at: now, number: task.number, ...more })
  const verdict = verdicts[outcome.kind]
  if (verdict === 'succeed') return { ...base, state: 'succeeded', reason: reason('succeeded') }
  if (verdict === 'cancel' || task.wanted === 'down') return { ...base, state: 'cancelled', reason: reason('cancelled') }
  // The crash count held this run before it was spawned; an interruption takes just that back.
  if (verdict === 'again')
    return { ...base, crashCount: Math.max(0, task.crashCount - 1), state: 'waiting', runAt: now, reason: reason('interrupted') }
  if (outcome.exitCode === exitMisconfigured) return { ...base, state: 'failed', reason: reason('misconfigured') }
  if (verdict === 'crash') {
    if (!task.rerunAfterCrash || task.crashCount >= maxCrashes) {
      return { ...base, crashCount: task.crashCount, state: 'failed', reason: reason('crashed-for-good', { failures: task.crashCount }) }
    }
    const runAt = now + retryDelayMs(task.crashCount, random)
    return {
      ...base,
      crashCount: task.crashCount,
      state: 'waiting',
      runAt,
      reason: reason('crashed', { until: runAt, failures: task.crashCount }),
    }
  }
  const attempt = task.attempt + 1
  if (attempt >= task.maxAttempts) return { ...base, attempt, state: 'failed', reason: reason('failed', { failures: attempt }) }
  const runAt = now + retryDelayMs(attempt, random)
  return { ...base, attempt, state: 'waiting', runAt, reason: reason('retry', { until: runAt, failures: attempt }) }
}
