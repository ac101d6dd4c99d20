import { createFactsFor } from '../api/explain-facts.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import { redactionOf } from '../runs/redaction.ts'
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
export const createExplainer = (
  config: SecretConfig,
): ((task: Task, lastRun?: ExplainFacts['lastRun'], badEnds?: ExplainFacts['badEnds']) => Explained) => {
  const factsFor = createFactsFor(config)
  const redaction = redactionOf(config)
  return (stored, lastRun = null, badEnds = null) => {
    const task = redaction.task(stored)
    const facts = { ...factsFor(task, lastRun && redaction.run(lastRun, stored)), badEnds }
    const inWords = (message: Message<Extract<TextKey, string>> | null) =>
      message === null ? null : translate('en', message.key, message.values, facts.now)
    const { why, end, cause, next } = explainTask(task, facts)
    return {
      state: shownState(task, facts),
      why: inWords(why)!,
      end: [end, cause].map(inWords).filter(Boolean).join(' ') || null,
      next: inWords(next),
    }
  }
}
