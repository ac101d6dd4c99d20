import type { Config } from '../config.ts'
import { readHold } from '../runs/flags.ts'
import { hostId } from '../runs/host-id.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { type ExplainFacts, explainTask, type Message } from '../task/explain.ts'
import type { Task } from '../task/task.ts'
import { type TextKey, translate } from '../texts/translate.ts'

/** Why a task is in its state, and what comes next, in sentences. */
export interface Explained {
  why: string
  end: string | null
  next: string | null
}

/** Looks once how the supervisor on this host stands, for all tasks that are asked about. */
export const createExplainer = (config: Pick<Config, 'runtime'>): ((task: Task, lastRun?: ExplainFacts['lastRun']) => Explained) => {
  const supervisor = readSupervisor(config.runtime)
  const here = supervisor ? supervisor.phase : readHold(config.runtime) ? 'held' : 'down'
  const host = hostId(config.runtime)
  const now = Date.now()
  const inWords = (message: Message<Extract<TextKey, string>> | null) =>
    message === null ? null : translate('en', message.key, message.values, now)
  return (task, lastRun = null) => {
    const { why, end, next } = explainTask(task, { now, supervisor: task.host === null || task.host === host ? here : 'unknown', lastRun })
    return { why: inWords(why)!, end: inWords(end), next: inWords(next) }
  }
}
