import type { SecretConfig } from '../runs/known-secrets.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { Db } from '../store/database.ts'
import { listTasks, type TaskFilter, type TaskPage } from '../store/list-tasks.ts'
import type { Task } from '../task/task.ts'

/**
 * A page of tasks as they are stored. A text is found only in what is shown of a task: else the hits would tell what is hidden,
 * letter by letter.
 */
export const listShownTasks = async (
  config: SecretConfig,
  db: Db,
  filter: TaskFilter,
  { limit, after, before }: { limit: number; after?: string; before?: string },
): Promise<TaskPage> => {
  const first = await listTasks(db, filter, {
    limit,
    ...(after === undefined ? {} : { after }),
    ...(before === undefined ? {} : { before }),
  })
  if (!filter.text) return first
  const isShown = shows(config, filter.text)
  const upwards = before !== undefined
  let page = first
  let tasks = page.tasks.filter(isShown)
  // What was left out is made up for by what follows, so that a page tells nothing by being short.
  for (let more = 0; tasks.length < limit && more < mostMore; more++) {
    const next = upwards ? page.newer : page.older
    if (next === null) break
    page = await listTasks(db, filter, { limit: limit - tasks.length, ...(upwards ? { before: next } : { after: next }) })
    const found = page.tasks.filter(isShown)
    tasks = upwards ? [...found, ...tasks] : [...tasks, ...found]
  }
  return upwards ? { tasks, newer: page.newer, older: first.older } : { tasks, newer: first.newer, older: page.older }
}

const mostMore = 40

/** The database compares by its own rules of case and accents, so only what has something to hide is looked at again. */
const shows = (config: SecretConfig, text: string) => {
  const wanted = text.toLowerCase()
  return (stored: Task): boolean => {
    const before = wordsOf(stored)
    const shown = wordsOf(redactionOf(config).task(stored))
    return before === shown || shown.toLowerCase().includes(wanted)
  }
}

const wordsOf = ({ action, params, type, creator, content }: Task) =>
  [action, JSON.stringify(params), type, creator, content ?? ''].join('\n')
