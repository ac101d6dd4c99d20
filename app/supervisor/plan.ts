import type { StopRequest } from '../runs/stop-file.ts'
import type { StopCause } from '../task/end-facts.ts'
import { ownSlots } from '../task/own-slots.ts'
import type { LoopState, Task, Wanted } from '../task/task.ts'

/** What the supervisor knows at one moment, as plain values. Times are monotonic milliseconds. */
export interface Situation {
  now: number
  /** `leaving`: stop everything that runs, begin nothing. */
  mode: 'running' | 'leaving'
  loops: readonly LoopView[]
  onces: readonly OnceView[]
  /** Due ONCE tasks in the order in which they shall run. */
  due: readonly Task[]
  /** ONCE runs at once, but for those that have slots of their own (task/own-slots.ts). */
  maxRunning: number
  /** Processes that may be on their way up at once; more would only slow one another. */
  maxStarting: number
}

export interface LoopView {
  taskId: number
  wanted: Wanted
  wish: number
  state: LoopState
  /** null: no process lives. */
  child: { number: number; wish: number; stopping: boolean; ready: boolean } | null
  /** A start is under way and has no process yet. */
  launching: boolean
  /** No start before this. */
  nextStartAt: number
  /** The newest wish that has been acted on. */
  servedWish: number
  /** It stalled and asked to be restarted then. */
  restartStalled: boolean
  /** Its turn in a reload has come. */
  reload: boolean
}

export interface OnceView {
  taskId: number
  action: string
  number: number
  stopping: boolean
  ready: boolean
  cancelWanted: boolean
  /** When its timeout is over; null for none. */
  deadlineAt: number | null
}

export type Step =
  | { do: 'start-loop'; taskId: number; fresh: boolean }
  | { do: 'settle-loop'; taskId: number }
  | { do: 'stop'; taskId: number; number: number; why: StopRequest['why']; because: StopCause }
  | { do: 'claim'; task: Task }

/** Compares wish and fact and says what to do now. Pure: the same situation gives the same steps. */
export const plan = (situation: Situation): Step[] => {
  const stops = [
    ...situation.loops.flatMap(loop => stopLoop(loop, situation.mode)),
    ...situation.onces.flatMap(once => stopOnce(once, situation)),
  ]
  const settled = situation.loops.filter(isToSettle).map(({ taskId }): Step => ({ do: 'settle-loop', taskId }))
  if (situation.mode === 'leaving') return [...stops, ...settled]

  let mayStart = Math.max(0, situation.maxStarting - startingNow(situation))
  const starts: Step[] = []
  for (const loop of [...situation.loops].filter(loop => isToStart(loop, situation.now)).sort((a, b) => a.nextStartAt - b.nextStartAt)) {
    if (mayStart-- <= 0) break
    starts.push({ do: 'start-loop', taskId: loop.taskId, fresh: loop.wish > loop.servedWish })
  }
  const claims = toClaim(situation)
    .slice(0, Math.max(0, mayStart))
    .map((task): Step => ({ do: 'claim', task }))
  return [...stops, ...settled, ...starts, ...claims]
}

/** The earliest moment at which time alone changes the plan; null when only an event can. */
export const nextPlanAt = ({ loops, onces, now }: Pick<Situation, 'loops' | 'onces' | 'now'>): number | null => {
  const starts = loops.filter(loop => loop.wanted === 'up' && !loop.child && !loop.launching).map(loop => loop.nextStartAt)
  const deadlines = onces.flatMap(once => (once.deadlineAt !== null && !once.stopping ? [once.deadlineAt] : []))
  const times = [...starts, ...deadlines].filter(at => at > now && Number.isFinite(at))
  return times.length ? Math.min(...times) : null
}

const stopLoop = (loop: LoopView, mode: Situation['mode']): Step[] => {
  if (!loop.child || loop.child.stopping) return []
  const stop = (why: StopRequest['why'], because: StopCause): Step[] => [
    { do: 'stop', taskId: loop.taskId, number: loop.child!.number, why, because },
  ]
  if (loop.wanted === 'down') return stop('cancelled', 'wanted-down')
  if (mode === 'leaving') return stop('interrupted', 'leaving')
  if (loop.wish > loop.child.wish) return stop('interrupted', 'fresh-wish')
  if (loop.reload) return stop('interrupted', 'reload')
  if (loop.restartStalled) return stop('timed-out', 'stalled')
  return []
}

const stopOnce = (once: OnceView, { mode, now }: Situation): Step[] => {
  if (once.stopping) return []
  const stop = (why: StopRequest['why'], because: StopCause): Step[] => [
    { do: 'stop', taskId: once.taskId, number: once.number, why, because },
  ]
  if (once.cancelWanted) return stop('cancelled', 'cancel')
  if (once.deadlineAt !== null && once.deadlineAt <= now) return stop('timed-out', 'timeout')
  return mode === 'leaving' ? stop('interrupted', 'leaving') : []
}

const toClaim = ({ due, onces, maxRunning }: Situation): Task[] => {
  const free = new Map<string | null, number>([[null, maxRunning], ...Object.entries(ownSlots)])
  const take = ({ action }: { action: string }): boolean => {
    const slots = free.has(action) ? action : null
    const left = free.get(slots)!
    free.set(slots, left - 1)
    return left > 0
  }
  for (const once of onces) take(once)
  return due.filter(take)
}

const isToSettle = (loop: LoopView) => loop.wanted === 'down' && !loop.child && !loop.launching && loop.state !== 'stopped'
const isToStart = (loop: LoopView, now: number) =>
  loop.wanted === 'up' && !loop.child && !loop.launching && (loop.nextStartAt <= now || loop.wish > loop.servedWish)
const startingNow = ({ loops, onces }: Situation) =>
  loops.filter(loop => loop.launching || (loop.child && !loop.child.ready)).length + onces.filter(once => !once.ready).length
