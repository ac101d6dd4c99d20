import type { Task } from './task.ts'

/** When the next run of a waiting task is due: not before somebody asked for it, or before what it waited for had ended. */
export const dueAtOf = ({ runAt, reason }: Pick<Task, 'runAt' | 'reason'>): number =>
  reason?.code === 'added' ? Math.max(runAt, reason.at) : runAt
