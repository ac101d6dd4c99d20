import type { EndFacts } from './end-facts.ts'
import type { Json } from './task.ts'

/** How a run ended. */
export const outcomeKinds = [
  'succeeded',
  'failed', // the action threw, or returned failure()
  'exited', // the process left by itself without an outcome
  'killed', // a signal ended it that nobody here sent
  'timed-out',
  'out-of-memory',
  'cancelled',
  'interrupted', // stopped by a restart, reload or shutdown: no fault of the task
  'lost', // ended while nobody watched, and left no trace
] as const
export type OutcomeKind = (typeof outcomeKinds)[number]

export interface Outcome {
  kind: OutcomeKind
  /** What the run said it achieved, or why it failed. */
  content: string | null
  /** Message and stack of what was thrown. */
  error: string | null
  exitCode: number | null
  signal: string | null
  /** The loop asked for a fresh process itself (maxIterations, maxAgeMs, maxRssMb): no failure, no wait. */
  recycled?: boolean
  facts?: EndFacts
  value?: Json
}

/** What a function given as `execute` may return besides nothing and a string. */
export interface Verdict {
  readonly verdict: 'success' | 'failure'
  readonly content: string
}
/** The run did what it should; `content` is stored with its outcome (cut after 64 kB). */
export const success = (content = ''): Verdict => ({ verdict: 'success', content })
/** The run did not do what it should: outcome `failed`, looked at by the retry rule like a throw. */
export const failure = (content: string): Verdict => ({ verdict: 'failure', content })

/** Died without saying how it went: counted as a crash of a ONCE task. */
export const isCrash = (kind: OutcomeKind) => kind === 'exited' || kind === 'killed' || kind === 'out-of-memory' || kind === 'lost'

/** Nobody had wanted it to end so: neither it itself, in good order, nor who stopped it. */
export const isBadEnd = (kind: OutcomeKind) => kind !== 'succeeded' && kind !== 'cancelled' && kind !== 'interrupted'

/** Exit code by which a program says that its configuration is wrong and a restart will not help (sysexits.h EX_CONFIG). */
export const exitMisconfigured = 78
