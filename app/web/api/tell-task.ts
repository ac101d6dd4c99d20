import type { Message } from '../../task/explain.ts'
import type { Run } from '../../task/run.ts'
import type { Task } from '../../task/task.ts'
import { type TextKey, translate } from '../../texts/translate.ts'
import { createExplainer } from '../explained.ts'
import type { Panel } from '../panel.ts'

/** A task as a program is told of it: its row without secrets, the state that is so, and why, in sentences. */
export interface ToldTask extends Task {
  why: string | null
  end: string | null
  next: string | null
}

/** How the supervisor stands is looked at once for all tasks that are told. */
export const createTeller = (panel: Pick<Panel, 'config'>): ((task: Task, lastRun?: Run | null) => ToldTask) => {
  const explain = createExplainer(panel)
  const now = Date.now()
  const say = (message: Message | null) => (message === null ? null : translate('en', message.key as TextKey, message.values, now))
  return (task, lastRun = null) => {
    const { task: shown, why, end, cause, next } = explain(task, { lastRun })
    return { ...shown, why: say(why), end: [end, cause].map(say).filter(Boolean).join(' ') || null, next: say(next) }
  }
}
