import { createFactsFor } from '../api/explain-facts.ts'
import type { Config } from '../config.ts'
import { type ExplainFacts, explainTask, type Message, shownState } from '../task/explain.ts'
import type { Task, TaskState } from '../task/task.ts'
import { type TextKey, translate } from '../texts/translate.ts'

/** Why a task is in its state, and what comes next, in sentences. */
export interface Explained {
  state: TaskState
  why: string
  end: string | null
  next: string | null
}

/** Looks once how the supervisor on this host stands, for all tasks that are asked about. */
export const createExplainer = (config: Pick<Config, 'runtime'>): ((task: Task, lastRun?: ExplainFacts['lastRun']) => Explained) => {
  const factsFor = createFactsFor(config)
  return (task, lastRun = null) => {
    const facts = factsFor(task, lastRun)
    const inWords = (message: Message<Extract<TextKey, string>> | null) =>
      message === null ? null : translate('en', message.key, message.values, facts.now)
    const { why, end, next } = explainTask(task, facts)
    return { state: shownState(task, facts), why: inWords(why)!, end: inWords(end), next: inWords(next) }
  }
}
