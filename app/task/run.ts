import type { EndFacts } from './end-facts.ts'
import type { OutcomeKind } from './outcome.ts'

/** A `bg_run` row: one process that ran, or runs, a task. */
export interface Run {
  taskId: number
  number: number
  host: string
  epoch: string
  pid: number | null
  /** Clock ticks since boot at which the process began (field 22 of /proc/pid/stat). */
  startTicks: number | null
  bootId: string | null
  startedAt: number
  endedAt: number | null
  outcome: OutcomeKind | null
  exitCode: number | null
  signal: string | null
  content: string | null
  error: string | null
  /** Iterations finished, for a loop that uses execForeverInterval. */
  iterations: number | null
  peakMemoryBytes: number | null
  cpuMs: number | null
  outputBytes: number | null
  /** Ended by its own recycling rule. */
  recycled: boolean
  attempt: number
  /** Adopted alive by a later supervisor. */
  adopted: boolean
  /** When it was due, for a ONCE task: what it began after that, it was late. */
  dueAt: number | null
  /** The time in which no supervisor ran on this host, when that is why it was late. `downFrom` is null when there was none before. */
  downFrom: number | null
  downTo: number | null
  /** It was the so-manieth task of a resident runner, whose process `pid` names; null: it had a process of its own. */
  residentTask: number | null
  /** null: nothing more is known of its end, or it has not ended. */
  endFacts: EndFacts | null
}
export const runName = (taskId: number, number: number) => `${taskId}-${number}`
