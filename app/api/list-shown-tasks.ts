import type { SecretConfig } from '../runs/known-secrets.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { Db } from '../store/database.ts'
import { listTasks, type TaskFilter, type TaskPage } from '../store/list-tasks.ts'
import type { Task } from '../task/task.ts'

/**
 * A page of tasks as they are stored. A text is found only in what is shown of a task: else the hits would tell what is hidden,
 * letter by letter. So would the cursors, if they were those of rows that are left out: they come from what the page has.
 */
export const listShownTasks = async (
  config: SecretConfig,
  db: Db,
  filter: TaskFilter,
  { limit, after, before }: { limit: number; after?: string; before?: string },
): Promise<TaskPage> => {
  const upwards = before !== undefined
  const start = upwards ? { before } : after === undefined ? {} : { after }
  if (!filter.text) return listTasks(db, filter, { limit, ...start })
  const isShown = shows(config, filter.text)
  // One more than the page has: whether there is a page after it depends on what that shows.
  const wanted = limit + 1
  let page = await listTasks(db, filter, { limit: wanted, ...start })
  let found = page.tasks.filter(isShown)
  for (let more = 0; found.length < wanted && more < mostMore; more++) {
    const next = upwards ? page.newer : page.older
    if (next === null) break
    page = await listTasks(db, filter, { limit: wanted, ...(upwards ? { before: next } : { after: next }) })
    const shown = page.tasks.filter(isShown)
    found = upwards ? [...shown, ...found] : [...found, ...shown]
  }
  const hasMore = found.length > limit
  const tasks = upwards ? found.slice(-limit) : found.slice(0, limit)
  const newest = tasks[0] ? String(tasks[0].id) : null
  const oldest = tasks.length > 0 ? String(tasks.at(-1)!.id) : null
  return upwards
    ? { tasks, newer: hasMore ? newest : null, older: oldest ?? before }
    : { tasks, newer: after === undefined ? null : (newest ?? after), older: hasMore ? oldest : null }
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

const wordsOf = ({ action, params, type, creator, uniqueKey, content }: Task) =>
  [action, JSON.stringify(params), type, creator, uniqueKey ?? '', content ?? ''].join('\n')
