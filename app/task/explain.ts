import type { BadEnds } from './bad-ends.ts'
import { type CauseKey, causeOf, type EndedRun } from './cause.ts'
import { type EndKey, explainEnd, explainSaid } from './explain-end.ts'
import type { LongIteration } from './long-iteration.ts'
import type { Message } from './message.ts'
import { isBadEnd } from './outcome.ts'
import { restartPolicy } from './restart-policy.ts'
import type { Run } from './run.ts'
import { maxCrashes, type Task, type TaskState } from './task.ts'

export { type EndKey, explainEnd } from './explain-end.ts'
export type { Message } from './message.ts'

/** What has to be known besides the task's row. */
export interface ExplainFacts {
  now: number
  /** `held`: an operator said "stay stopped". `silent`: alive, but frozen. `unknown`: asked from a host that does not run the task. */
  supervisor: 'running' | 'stopping' | 'down' | 'held' | 'silent' | 'unknown'
  /** The row says that it runs, but its process is dead and no supervisor has said so yet. */
  processGone?: boolean
  /** The newest run, when it is at hand: it says how the last life ended. */
  lastRun?: (EndedRun & Pick<Run, 'endedAt'>) | null
  /** The iteration under way, when it takes far longer than those before it. */
  longIteration?: LongIteration | null
  /** It is up, and its lives have ended badly again and again. */
  badEnds?: BadEnds | null
}

export interface Explanation {
  /** Why the task is in its state. */
  why: Message<WhyKey>
  /** How its last run ended, when that is part of the reason. */
  end: Message<EndKey> | null
  /** What made it end or stall so, and what to do about it, when that can be told. */
  cause: Message<CauseKey> | null
  /** What will happen next, and what a person can do. */
  next: Message<NextKey> | null
}

/** Why a task is in its state, and what happens next: the same sentences on the page and in the terminal. */
export const explainTask = (task: Task, facts: ExplainFacts): Explanation => {
  if (facts.processGone) return { why: say('why.gone'), end: null, cause: null, next: whenUp(facts, say('next.startsSoon')) }
  const {
    why,
    next,
    withEnd = false,
    withCause = withEnd,
    withSaid = false,
    cause,
  } = task.execType === 'ONCE' ? explainOnce(task, facts) : explainLoop(task, facts)
  const lastRun = facts.lastRun?.outcome ? facts.lastRun : null
  return {
    why,
    end: !lastRun ? null : withEnd ? explainEnd(lastRun) : withSaid ? explainSaid(lastRun) : null,
    cause: cause ?? (withCause && lastRun ? causeOf(lastRun) : null),
    next,
  }
}

/** The state to show: a row that nobody keeps up to date must not call a dead process running. */
export const shownState = (task: Task, { processGone }: Pick<ExplainFacts, 'processGone'>): TaskState =>
  processGone ? (task.execType === 'FOREVER' ? 'stopped' : 'waiting') : task.state

/** It had tripped, and nobody knows yet whether it stays up this time. */
export const isOnProbe = ({ reason, startedAt }: Task, now: number): boolean =>
  reason?.code === 'probing' && now - (startedAt ?? reason.at) < restartPolicy.healthyMs

/** How late a run began, and whether that is because no supervisor was there; null when it was in time. */
export const explainLateness = (run: Pick<Run, 'number' | 'startedAt' | 'dueAt' | 'downFrom' | 'downTo'>): Message<LateKey> | null => {
  const lateMs = run.dueAt === null ? 0 : run.startedAt - run.dueAt
  if (lateMs < lateFromMs) return null
  const values = { number: String(run.number), lateMs }
  if (run.downTo === null) return say('late.waited', values)
  return run.downFrom === null
    ? say('late.neverUp', { ...values, to: run.downTo })
    : say('late.down', { ...values, from: run.downFrom, to: run.downTo })
}

/** A run that begins sooner after its time is not called late. */
const lateFromMs = 2_000

export type LateKey = 'late.waited' | 'late.down' | 'late.neverUp'

export type WhyKey =
  | `why.once.${'added' | 'wishedAgain' | 'dueLater' | 'retry' | 'crashed' | 'interrupted' | 'waitsForKey' | 'waitsForTurn' | 'waiting' | 'running' | 'adopted' | 'cancelling'}`
  | `why.once.${'overwritten' | 'overwrittenLater' | 'replacing'}`
  | 'why.gone'
  | `why.once.${'succeeded' | 'failed' | 'crashedForGood' | 'misconfigured' | 'cannotLoad' | 'cancelled' | 'replaced' | 'survivors'}`
  | `why.loop.${'wantedUp' | 'stopped' | 'stoppedBy' | 'starting' | 'running' | 'adopted' | 'recycled' | 'reloading' | 'probing'}`
  | `why.loop.${'upAgain' | 'keepsEndingBadly' | 'stalled' | 'longIteration' | 'backingOff' | 'backingOffAfter' | 'tripped' | 'trippedAfter' | 'trippedOften' | 'misconfigured' | 'cannotLoad' | 'stopping' | 'survivors'}`

export type NextKey =
  | `next.${'startsSoon' | 'startsAt' | 'nextTry' | 'runsAgain' | 'afterReplaced' | 'afterHolder' | 'timeLimit' | 'endsWhenDone' | 'forcedAfterGrace'}`
  | `next.${'retry' | 'retryAfterMending' | 'start' | 'staysUp' | 'nextStart' | 'probe' | 'probeOrMend' | 'watch' | 'watchUnwatched'}`
  | `next.${'loopDown' | 'loopHeld' | 'loopStopping' | 'loopSilent' | 'survivors'}`

interface Words {
  why: Message<WhyKey>
  next: Message<NextKey> | null
  /** How its last run ended is part of the reason. */
  withEnd?: boolean
  /** What it said itself, or printed last, is, since its code is told already. */
  withSaid?: boolean
  /** Why it ended so is worth telling. Default: with how it ended */
  withCause?: boolean
  cause?: Message<CauseKey>
}

const say = <Key extends string>(key: Key, values: Message['values'] = {}): Message<Key> => ({ key, values })

const explainOnce = (task: Task, facts: ExplainFacts): Words => {
  const reason = task.reason
  const at = reason?.at ?? task.updatedAt
  const failures = reason?.failures ?? task.attempt
  switch (task.state) {
    case 'waiting':
      switch (reason?.code) {
        case 'retry':
          return {
            why: say('why.once.retry', { failures, maxAttempts: task.maxAttempts }),
            next: whenUp(facts, say('next.nextTry', { until: task.runAt })),
            withEnd: true,
          }
        case 'crashed':
          return {
            why: say('why.once.crashed', { failures, most: maxCrashes }),
            next: whenUp(facts, say('next.runsAgain', { until: task.runAt })),
            withEnd: true,
          }
        case 'interrupted':
          return { why: say('why.once.interrupted', { at }), next: whenUp(facts, say('next.startsSoon')) }
        case 'waits-for-key':
          return { why: say('why.once.waitsForKey', { detail: reason.detail ?? '?' }), next: whenUp(facts, say('next.afterReplaced')) }
        case 'waits-for-turn':
          return {
            why: say('why.once.waitsForTurn', { detail: reason.detail ?? '?', calls: task.superseded + 1 }),
            next: whenUp(facts, say('next.afterHolder')),
          }
        case 'cannot-load':
          return { why: say('why.once.cannotLoad', { detail: reason.detail ?? task.action }), next: say('next.retryAfterMending') }
        default:
          if (task.runAt > facts.now) {
            return {
              why:
                task.superseded > 0
                  ? say('why.once.overwrittenLater', { at: task.createdAt, calls: task.superseded + 1 })
                  : say('why.once.dueLater', { at: task.createdAt }),
              next: whenUp(facts, say('next.startsAt', { until: task.runAt })),
            }
          }
          if (task.superseded > 0 && reason?.code === 'added' && task.number === 0) {
            return {
              why: say('why.once.overwritten', { at: task.createdAt, calls: task.superseded + 1 }),
              next: whenUp(facts, say('next.startsSoon')),
            }
          }
          if (reason?.code === 'wished-again')
            return { why: say('why.once.wishedAgain', { at: reason.at, by: reason.by ?? '' }), next: whenUp(facts, say('next.startsSoon')) }
          return reason?.code === 'added' || !reason
            ? { why: say('why.once.added', { at: task.createdAt }), next: whenUp(facts, say('next.startsSoon')) }
            : { why: say('why.once.waiting', { at }), next: whenUp(facts, say('next.startsSoon')) }
      }
    case 'running': {
      const startedAt = task.startedAt ?? at
      if (task.wanted === 'down') {
        if (reason?.code === 'replaced')
          return {
            why: say('why.once.replacing', { detail: reason.detail ?? '?', at }),
            next: say('next.forcedAfterGrace', { graceMs: task.graceMs }),
          }
        return {
          why: reason?.by ? say('why.once.cancelling', { by: reason.by, at }) : say('why.once.cancelling', { by: '?', at }),
          next: say('next.forcedAfterGrace', { graceMs: task.graceMs }),
        }
      }
      if (reason?.code === 'survivors')
        return { why: say('why.once.survivors', { detail: reason.detail ?? '?' }), next: say('next.survivors') }
      return {
        why:
          reason?.code === 'adopted'
            ? say('why.once.adopted', { number: String(task.number), startedAt, at })
            : say('why.once.running', { number: String(task.number), startedAt }),
        next: task.timeoutMs === null ? say('next.endsWhenDone') : say('next.timeLimit', { until: startedAt + task.timeoutMs }),
      }
    }
    case 'succeeded':
      return { why: say('why.once.succeeded', { at: task.finishedAt ?? at }), next: null }
    case 'failed':
      if (reason?.code === 'crashed-for-good') {
        return {
          why: say('why.once.crashedForGood', { failures: reason.failures ?? task.crashCount }),
          next: say('next.retry'),
          withEnd: true,
        }
      }
      if (reason?.code === 'misconfigured')
        return { why: say('why.once.misconfigured'), next: say('next.retryAfterMending'), withSaid: true }
      if (reason?.code === 'cannot-load') {
        return { why: say('why.once.cannotLoad', { detail: reason.detail ?? task.action }), next: say('next.retryAfterMending') }
      }
      return { why: say('why.once.failed', { failures: Math.max(1, failures) }), next: say('next.retry'), withEnd: true }
    default:
      if (reason?.code === 'replaced') return { why: say('why.once.replaced', { detail: reason.detail ?? '?' }), next: null }
      return {
        why: say('why.once.cancelled', { at: task.finishedAt ?? at, by: reason?.by ?? '?' }),
        next: say('next.retry'),
        withCause: true,
      }
  }
}

const explainLoop = (task: Task, facts: ExplainFacts): Words => {
  const reason = task.reason
  const at = reason?.at ?? task.updatedAt
  const failures = reason?.failures ?? task.crashCount
  const startedAt = task.startedAt ?? at
  if (reason?.code === 'survivors') return { why: say('why.loop.survivors', { detail: reason.detail ?? '?' }), next: say('next.survivors') }
  if (reason?.code === 'cannot-load') {
    return {
      why: say('why.loop.cannotLoad', { detail: reason.detail ?? task.action }),
      next: whenUp(facts, say('next.probeOrMend', { until: task.runAt })),
    }
  }
  switch (task.state) {
    case 'starting':
      return {
        why: say(reason?.code === 'reloading' ? 'why.loop.reloading' : 'why.loop.starting', { at }),
        next: whenUp(facts, say('next.staysUp')),
        withEnd: endedBadlyJustBefore(task, facts),
      }
    case 'running':
      if (facts.longIteration) return explainLongIteration(facts.longIteration, facts)
      return {
        why: whyRunning(task, at, startedAt, facts),
        next: whenUp(facts, say('next.staysUp')),
        withEnd: endedBadlyJustBefore(task, facts),
      }
    case 'stalled':
      return {
        why: say('why.loop.stalled', { at }),
        next: say('next.watch'),
        ...(reason?.detail ? { cause: say(reason.detail === 'busy' ? 'cause.blocks' : 'cause.hangs') } : {}),
      }
    case 'backing-off':
      return {
        why: tooSoon('why.loop.backingOff', { failures }, facts),
        next: whenUp(facts, say('next.nextStart', { until: task.runAt })),
        withEnd: true,
      }
    case 'tripped':
      return reason?.code === 'misconfigured'
        ? { why: say('why.loop.misconfigured'), next: whenUp(facts, say('next.probeOrMend', { until: task.runAt })), withSaid: true }
        : {
            why: whyTripped(failures, at, facts),
            next: whenUp(facts, say('next.probe', { until: task.runAt })),
            withEnd: true,
          }
    case 'stopping':
      return { why: say('why.loop.stopping', { at }), next: say('next.forcedAfterGrace', { graceMs: task.graceMs }) }
    default:
      if (task.wanted === 'up') return { why: say('why.loop.wantedUp'), next: whenUp(facts, say('next.startsSoon')) }
      return {
        why: reason?.by ? say('why.loop.stoppedBy', { by: reason.by, at }) : say('why.loop.stopped', { at }),
        next: say('next.start'),
        withCause: true,
      }
  }
}

const explainLongIteration = ({ startedAt, p95Ms, doing, isWatched }: LongIteration, facts: ExplainFacts): Words => ({
  why: say('why.loop.longIteration', { startedAt, p95Ms: Math.max(1, p95Ms) }),
  next: whenUp(facts, say(isWatched ? 'next.watch' : 'next.watchUnwatched')),
  ...(doing ? { cause: say(doing === 'busy' ? 'cause.blocks' : 'cause.hangs') } : {}),
})

/** A loop that crashes now and then is up most of the time; who looks then is to learn of it. */
const endedBadlyJustBefore = ({ number }: Task, { lastRun, badEnds, now }: ExplainFacts): boolean =>
  Boolean(lastRun?.outcome && isBadEnd(lastRun.outcome) && !lastRun.recycled) &&
  (lastRun?.number === undefined || lastRun.number >= number - 1) &&
  (Boolean(badEnds) || now - (lastRun?.endedAt ?? 0) < recentMs)
const recentMs = 600_000

/** With how long the last run lived, where that is known. */
const tooSoon = (
  key: 'why.loop.backingOff' | 'why.loop.tripped',
  values: Message['values'],
  { lastRun }: ExplainFacts,
): Message<WhyKey> => {
  const { startedAt, endedAt } = lastRun ?? {}
  if (typeof startedAt !== 'number' || typeof endedAt !== 'number') return say(key, values)
  return say(`${key}After`, { ...values, lifeMs: Math.max(0, endedAt - startedAt) })
}

/** Few failures in a row, since lives between them were healthy, and too many in all. */
const whyTripped = (failures: number, at: number, facts: ExplainFacts): Message<WhyKey> => {
  const [short, long] = restartPolicy.budgets as [Budget, Budget]
  if (failures > short.failures) return tooSoon('why.loop.tripped', { failures, at }, facts)
  return say('why.loop.trippedOften', { at, n: short.failures, ms: short.withinMs, most: long.failures, longMs: long.withinMs })
}
type Budget = (typeof restartPolicy.budgets)[number]

const whyRunning = (task: Task, at: number, startedAt: number, facts: ExplainFacts): Message<WhyKey> => {
  const values = { number: String(task.number), startedAt, at }
  if (isOnProbe(task, facts.now)) return say('why.loop.probing', values)
  if (facts.badEnds) return say('why.loop.keepsEndingBadly', { number: values.number, n: facts.badEnds.n, at: facts.badEnds.lastAt })
  switch (task.reason?.code) {
    case 'adopted':
      return say('why.loop.adopted', values)
    case 'recycled':
      return say('why.loop.recycled', values)
    default:
      return say(endedBadlyJustBefore(task, facts) ? 'why.loop.upAgain' : 'why.loop.running', values)
  }
}

/** What is planned only comes to pass while the loop is up. */
const whenUp = (facts: ExplainFacts, planned: Message<NextKey>): Message<NextKey> => {
  switch (facts.supervisor) {
    case 'down':
      return say('next.loopDown')
    case 'held':
      return say('next.loopHeld')
    case 'stopping':
      return say('next.loopStopping')
    case 'silent':
      return say('next.loopSilent')
    default:
      return planned
  }
}
