import type { Task } from './task.ts'

/** Whether a ONCE task was cancelled by somebody while it waited, so that it can be put back as it was: it had no run that was cut off. */
export const wasCancelledWaiting = ({ state, reason }: Pick<Task, 'state' | 'reason'>): boolean =>
  state === 'cancelled' && reason?.code === 'cancelled' && reason.number === undefined
