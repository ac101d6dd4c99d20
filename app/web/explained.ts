import { readHold } from '../runs/flags.ts'
import { hostId } from '../runs/host-id.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { type ExplainFacts, type Explanation, explainTask } from '../task/explain.ts'
import type { Task } from '../task/task.ts'
import type { Panel } from './panel.ts'

export interface ExplainedTask extends Explanation {
  task: Task
}

/** Tasks with their sentences; how the supervisor stands is looked at once for all of them. */
export const createExplainer = ({ config }: Pick<Panel, 'config'>): ((task: Task, lastRun?: ExplainFacts['lastRun']) => ExplainedTask) => {
  const supervisor = readSupervisor(config.runtime)
  const here = supervisor ? supervisor.phase : readHold(config.runtime) ? 'held' : 'down'
  const host = hostId(config.runtime)
  const now = Date.now()
  return (task, lastRun = null) => {
    // What another host has in hand is that one's matter; what nobody has, ours may take.
    const facts: ExplainFacts = { now, supervisor: task.host === null || task.host === host ? here : 'unknown', lastRun }
    return { task, ...explainTask(task, facts) }
  }
}
