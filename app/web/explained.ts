import { createFactsFor } from '../api/explain-facts.ts'
import { redactionOf } from '../runs/redaction.ts'
import { type ExplainFacts, type Explanation, explainTask, shownState } from '../task/explain.ts'
import type { Task } from '../task/task.ts'
import type { Panel } from './panel.ts'

export interface ExplainedTask extends Explanation {
  task: Task
}

/** More that is known of one task. */
type Known = Pick<ExplainFacts, 'lastRun' | 'longIteration' | 'badEnds'>

/** Tasks with their sentences, in the state that is so and without secrets; how the supervisor stands is looked at once for all of them. */
export const createExplainer = ({ config }: Pick<Panel, 'config'>): ((task: Task, known?: Known) => ExplainedTask) => {
  const factsFor = createFactsFor(config)
  const redaction = redactionOf(config)
  return (stored, { lastRun = null, longIteration = null, badEnds = null } = {}) => {
    const task = redaction.task(stored)
    const facts = { ...factsFor(task, lastRun && redaction.run(lastRun, stored)), longIteration, badEnds }
    return { task: { ...task, state: shownState(task, facts) }, ...explainTask(task, facts) }
  }
}
