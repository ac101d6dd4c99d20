import { exitMisconfigured, type OutcomeKind } from './outcome.ts'
import type { Run } from './run.ts'
import { isFinal, maxCrashes, type OnceState, type Task } from './task.ts'

/** What happened to a ONCE task, one thing after the other. Times are milliseconds since 1970, lengths milliseconds; null: it is not over. */
export type TimelineStep =
  | { kind: 'added'; at: number }
  /** Older runs, which are not among those that were given. */
  | { kind: 'earlier'; runs: number }
  | { kind: 'waited'; why: WaitedFor; at: number; endAt: number | null; ms: number | null; until: number | null }
  | { kind: 'ran'; run: TimelineRun; at: number; endAt: number | null; ms: number | null }
  | { kind: 'ended'; state: OnceState; at: number }
  /** It had ended, and somebody asked that it be run again. `at` is null when that is not known. */
  | { kind: 'asked'; at: number | null; by: string | null }

/** `due`: for its time, or for the end of a task that it replaces or follows; `turn`: for room. */
export type WaitedFor = 'due' | 'turn' | 'key' | 'holder' | 'retry' | 'crash' | 'interruption'

export type TimelineRun = Pick<Run, 'number' | 'startedAt' | 'endedAt' | 'outcome' | 'exitCode' | 'attempt' | 'dueAt'>

/**
 * From being added to its end, oldest first.
 * @param runs the newest of its runs, in any order; the others are said to be missing
 */
export const timelineOf = <R extends TimelineRun>(task: TimelineTask, runs: readonly R[]): Step<R>[] => {
  const ordered = [...runs].sort((a, b) => a.number - b.number)
  const steps: Step<R>[] = [{ kind: 'added', at: task.createdAt }]
  const missing = (ordered[0]?.number ?? task.number + 1) - 1
  if (missing > 0) steps.push({ kind: 'earlier', runs: missing })
  let crashes = 0
  for (const [index, run] of ordered.entries()) {
    const before = ordered[index - 1]
    if (before) crashes = isCrash(before) ? crashes + 1 : 0
    if (before && wasAskedAgain(task, before, run, crashes)) {
      crashes = 0
      steps.push(...askedAgain(before, run.dueAt, null), waited('turn', run.dueAt ?? before.endedAt ?? before.startedAt, run.startedAt))
    } else if (before) steps.push(waited(whyAgain(before), before.endedAt ?? before.startedAt, run.startedAt))
    else if (missing === 0) steps.push(...firstWait(task, run))
    steps.push({ kind: 'ran', run, at: run.startedAt, endAt: run.endedAt, ms: lengthOf(run.startedAt, run.endedAt) })
  }
  const last = ordered.at(-1)
  if (last) crashes = isCrash(last) ? crashes + 1 : 0
  return [...steps, ...now(task, last, missing > 0, crashes)]
}

/** Which part of the whole time each step took, in thousandths; null for what took none, and for all while the task has not ended. */
export const sharesOf = (
  task: Pick<Task, 'createdAt' | 'finishedAt'>,
  steps: readonly TimelineStep[],
): ({ from: number; length: number } | null)[] => {
  const total = task.finishedAt === null ? 0 : task.finishedAt - task.createdAt
  return steps.map(step => {
    if (total <= 0 || (step.kind !== 'waited' && step.kind !== 'ran') || step.endAt === null) return null
    const part = (at: number) => Math.round((Math.min(total, Math.max(0, at - task.createdAt)) / total) * 1_000)
    // What took next to no time is to be seen as well.
    const length = Math.max(leastShare, part(step.endAt) - part(step.at))
    return { from: Math.min(part(step.at), 1_000 - length), length }
  })
}
const leastShare = 8

type TimelineTask = Pick<
  Task,
  'createdAt' | 'finishedAt' | 'updatedAt' | 'state' | 'reason' | 'runAt' | 'number' | 'attempt' | 'rerunAfterCrash'
>
type Step<R extends TimelineRun> = TimelineStep & ({ kind: Exclude<TimelineStep['kind'], 'ran'> } | { kind: 'ran'; run: R })

const waited = (why: WaitedFor, at: number, endAt: number | null, until: number | null = null) =>
  ({ kind: 'waited', why, at, endAt, ms: lengthOf(at, endAt), until }) as const

// The clocks of two hosts may differ: what began before it could have took no time.
const lengthOf = (at: number, endAt: number | null) => (endAt === null ? null : Math.max(0, endAt - at))

const firstWait = (task: TimelineTask, run: TimelineRun) => {
  const dueAt = run.dueAt ?? task.createdAt
  if (dueAt <= task.createdAt || dueAt > run.startedAt) return [waited('turn', task.createdAt, run.startedAt)]
  return [waited('due', task.createdAt, dueAt), waited('turn', dueAt, run.startedAt)]
}

/** What follows the newest run: the wait that it is in, or its end. */
const now = (task: TimelineTask, last: TimelineRun | undefined, isCut: boolean, crashes: number) => {
  const before = last ? (last.endedAt ?? last.startedAt) : isCut ? null : task.createdAt
  if (task.state === 'waiting') {
    if (last && wasAskedAgain(task, last, { attempt: task.attempt }, crashes)) {
      const asked = task.reason?.code === 'wished-again' ? task.reason : null
      return [...askedAgain(last, asked?.at ?? null, asked?.by ?? null), open(task, asked?.at ?? before!)]
    }
    return [open(task, before ?? task.updatedAt)]
  }
  if (!isFinal(task.state)) return []
  const at = task.finishedAt ?? task.updatedAt
  const ended = { kind: 'ended', state: task.state as OnceState, at } as const
  // Without a run after it, a wait was ended by whoever cancelled or replaced the task.
  const wait =
    before !== null && wasWaiting(task, last) ? [waited(last ? whyAgain(last) : task.runAt > at ? 'due' : 'turn', before, at)] : []
  return [...wait, ended]
}

const wasWaiting = (task: TimelineTask, last: TimelineRun | undefined) =>
  last === undefined ||
  (task.state === 'cancelled' && task.reason?.number === undefined && (task.finishedAt ?? 0) > (last.endedAt ?? Infinity))

const open = (task: TimelineTask, at: number) => {
  switch (task.reason?.code) {
    case 'due-later':
      return waited('due', at, null, task.runAt)
    case 'waits-for-key':
      return waited('key', at, null)
    case 'waits-for-turn':
      return waited('holder', at, null)
    case 'retry':
      return waited('retry', at, null, task.runAt)
    case 'crashed':
      return waited('crash', at, null, task.runAt)
    case 'interrupted':
      return waited('interruption', at, null)
    default:
      return waited('turn', at, null)
  }
}

const askedAgain = (before: TimelineRun, at: number | null, by: string | null) =>
  [
    { kind: 'ended', state: stateAfter(before), at: before.endedAt ?? before.startedAt },
    { kind: 'asked', at, by },
  ] as const

const stateAfter = ({ outcome }: TimelineRun): OnceState => (outcome === 'succeeded' || outcome === 'cancelled' ? outcome : 'failed')

const crashKinds: readonly (OutcomeKind | null)[] = ['exited', 'killed', 'out-of-memory', 'lost']
const isCrash = ({ outcome, exitCode }: TimelineRun) => crashKinds.includes(outcome) && exitCode !== exitMisconfigured

/**
 * Whether the task had ended with that run: then a person, not a rule, had it run again. Rules count tries, and a person's wish begins the count
 * anew.
 */
const wasAskedAgain = (task: TimelineTask, before: TimelineRun, next: Pick<TimelineRun, 'attempt'>, crashes: number): boolean => {
  if (before.outcome === 'succeeded' || before.outcome === 'cancelled') return true
  if (before.exitCode === exitMisconfigured || next.attempt < before.attempt) return true
  if (before.outcome === 'failed' || before.outcome === 'timed-out') return next.attempt === before.attempt
  return isCrash(before) && (crashes >= maxCrashes || !task.rerunAfterCrash)
}

const whyAgain = (before: TimelineRun): WaitedFor =>
  before.outcome === 'interrupted' ? 'interruption' : isCrash(before) ? 'crash' : 'retry'
