import type { Db } from '../store/database.ts'
import { listRuns } from '../store/list-runs.ts'
import { listTasks } from '../store/list-tasks.ts'
import type { Run } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import { sharesOf, timelineOf } from '../task/timeline.ts'

/** Runs that are drawn, the newest ones; older ones are in the table below. */
export const runsDrawn = 20

/** What happened to a ONCE task, drawn; null for a loop. @param newest its newest runs, when they are at hand */
export const timelineModel = async (db: Db, task: Task, newest: readonly Run[] | null, shown: (run: Run) => Run) => {
  if (task.execType !== 'ONCE') return null
  const runs = newest ?? (await listRuns(db, task.id, { limit: runsDrawn })).map(shown)
  const steps = timelineOf(task, runs.slice(0, runsDrawn))
  const shares = sharesOf(task, steps)
  return {
    steps: steps.map((step, index) => ({ step, share: shares[index]! })),
    totalMs: task.finishedAt === null ? null : Math.max(0, task.finishedAt - task.createdAt),
    ranMs: steps.reduce((sum, step) => sum + (step.kind === 'ran' ? (step.ms ?? 0) : 0), 0),
  }
}

/** Ids of the task that this one replaced, and of the one that was to follow that (keepLast): they had its unique key and name it. */
export const replacedBy = async (db: Db, { id, uniqueKey }: Pick<Task, 'id' | 'uniqueKey'>): Promise<number[]> => {
  if (uniqueKey === null) return []
  const states = ['cancelled', 'running', 'stopping', 'stopped'] as const
  const { tasks } = await listTasks(db, { uniqueKey, states }, { limit: mostBefore, after: String(id) })
  return tasks.filter(({ reason }) => reason?.code === 'replaced' && reason.detail === String(id)).map(task => task.id)
}
/** Whoever had the key before is among the newest of it, unless an older one was run again in between. */
const mostBefore = 20
