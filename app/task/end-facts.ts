/** What is known of the end of a run besides its columns. */
export interface EndFacts {
  /** The stop that was asked of it. */
  stop?: StopFacts
  /** What it failed by was thrown where nothing waits for it: by a promise, or out of a callback. */
  uncaught?: 'rejection' | 'exception'
  /** Of a run that SIGKILL ended, which nobody here had sent: processes of the machine that the kernel ended just then for want of memory. */
  kernelKills?: number
}

export interface StopFacts {
  because: StopCause
  /** Who asked; null when it was no person. */
  by: string | null
  /** When it was asked: milliseconds since 1970. */
  at: number
  /** How long after SIGTERM it took SIGKILL to end it; null when it ended by itself. */
  killedAfterMs: number | null
  /** What it was doing, when it was stopped because it stalled. */
  stalled?: StallKind
}

/** Who or what wants a run to end. */
export const stopCauses = ['leaving', 'wanted-down', 'fresh-wish', 'stalled', 'reload', 'cancel', 'timeout'] as const
export type StopCause = (typeof stopCauses)[number]

/** A stalled loop computes without pause, so that its event loop never turns; or it waits for something that does not come. */
export type StallKind = 'busy' | 'waiting'

/** By how long it had something to do while it finished no iteration. */
export const stallKindOf = (busyMs: number, elapsedMs: number): StallKind => (busyMs > elapsedMs / 2 ? 'busy' : 'waiting')
