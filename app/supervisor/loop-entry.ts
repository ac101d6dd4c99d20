import type { Lock } from '../runs/locks.ts'
import type { RunEnd } from '../runs/outcome-file.ts'
import type { StallKind } from '../task/end-facts.ts'
import { decideRestart, freshMemory, type RestartMemory } from '../task/restart-policy.ts'
import type { LoopState, Reason, Task } from '../task/task.ts'
import type { Child } from './child.ts'
import type { LoopView } from './plan.ts'

/** What the supervisor remembers of one loop, so that it goes on also while the database is away. */
export interface LoopEntry {
  task: Task
  state: LoopState
  reason: Reason | null
  /** Number of the newest run begun here or found on disk. */
  number: number
  content: string | null
  startedAt: number | null
  finishedAt: number | null
  child: Child | null
  launching: boolean
  /** Kept between runs: the open file stays locked, so the next start need not ask again. */
  lock: Lock | null
  memory: RestartMemory
  /** Monotonic; the wall-clock twin is in `reason.until`. */
  nextStartAt: number
  servedWish: number
  /** What it does since it has stalled; null while it has not. */
  stalled: StallKind | null
  reload: boolean
  /** Iterations seen last and when (monotonic), to notice a stall whatever the wall clock does; and how busy it had been until then. */
  progress: { iterations: number; at: number; busyMs: number }
}

export const newLoopEntry = (task: Task, now: number): LoopEntry => ({
  task,
  state: task.state as LoopState,
  reason: task.reason,
  number: task.number,
  content: task.content,
  startedAt: task.startedAt,
  finishedAt: task.finishedAt,
  child: null,
  launching: false,
  lock: null,
  memory: freshMemory,
  nextStartAt: now,
  servedWish: task.wish,
  stalled: null,
  reload: false,
  progress: { iterations: 0, at: now, busyMs: 0 },
})

export const viewOf = (entry: LoopEntry): LoopView => ({
  taskId: entry.task.id,
  wanted: entry.task.wanted,
  wish: entry.task.wish,
  state: entry.state,
  child: entry.child && {
    number: entry.child.ticket.number,
    wish: entry.child.ticket.wish,
    stopping: entry.child.stop !== null,
    ready: entry.child.ready,
  },
  launching: entry.launching,
  nextStartAt: entry.nextStartAt,
  servedWish: entry.servedWish,
  restartStalled: entry.stalled !== null && (entry.child?.ticket.stallRestart ?? false),
  reload: entry.reload,
})

/** Who said that it shall be down: the row knows. */
export const asker = ({ task, reason }: LoopEntry): { by?: string } => {
  const by = task.reason?.by ?? reason?.by
  return by ? { by } : {}
}

/** A life has ended: looks at the restart rule and notes what comes next. `now` is monotonic, `wall` and `random` are handed in. */
export const afterLife = (
  entry: LoopEntry,
  end: RunEnd,
  startedAt: number,
  { now, wall, random }: { now: number; wall: number; random: number },
): void => {
  const { restart, memory } = decideRestart(
    entry.memory,
    {
      startedAt,
      endedAt: end.endedAt,
      iterations: end.iterations ?? 0,
      outcome: end.kind,
      exitCode: end.exitCode,
      recycled: end.recycled ?? false,
    },
    random,
  )
  entry.memory = memory
  entry.stalled = null
  entry.finishedAt = end.endedAt
  entry.content = end.content
  const reason = (code: Reason['code'], more: Partial<Reason> = {}): Reason => ({ code, at: wall, number: entry.number, ...more })
  if (entry.task.wanted === 'down') {
    entry.state = 'stopped'
    entry.reason = reason('stopped-by-wish', asker(entry))
    return
  }
  if (restart.kind === 'at-once') {
    entry.state = 'starting'
    entry.reason = reason(restart.why === 'recycled' ? 'recycled' : restart.why === 'interrupted' ? 'interrupted' : 'backing-off', {
      failures: memory.inARow,
    })
    entry.nextStartAt = now
    return
  }
  entry.state = restart.kind
  entry.nextStartAt = now + restart.delayMs
  const code = restart.kind === 'tripped' ? (restart.misconfigured ? 'misconfigured' : 'tripped') : 'backing-off'
  entry.reason = reason(code, { until: wall + restart.delayMs, failures: restart.failures })
}
