import { BgtaskError, exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { listTasks } from '../store/list-tasks.ts'
import { loopStates, onceStates, type Task, type TaskState } from '../task/task.ts'
import { createExplainer } from './explained.ts'
import { wholeNumber, withBackground } from './open.ts'
import { note, print, printJson } from './print.ts'
import { type Column, formatTable } from './table.ts'
import { textOption } from './text-option.ts'

export interface RecordsOptions {
  state?: string
  action?: string
  type?: string
  creator?: string
  unique?: string
  limit: string
  json?: boolean
}

export const runRecords = async (options: RecordsOptions): Promise<number> => {
  const limit = wholeNumber('--limit', options.limit, 1, 100_000)
  const filter = {
    ...(options.state === undefined ? {} : { states: states(options.state) }),
    ...(options.action === undefined ? {} : { action: textOption('--action', options.action) }),
    ...(options.type === undefined ? {} : { type: textOption('--type', options.type) }),
    ...(options.creator === undefined ? {} : { creator: textOption('--creator', options.creator) }),
    ...(options.unique === undefined ? {} : { uniqueKey: textOption('--unique', options.unique) }),
  }
  return withBackground(async ({ config, db }) => {
    const tasks: Task[] = []
    let after: string | undefined
    let more: boolean
    do {
      const page = await listTasks(db, filter, { limit: Math.min(500, limit - tasks.length), ...(after === undefined ? {} : { after }) })
      tasks.push(...page.tasks.map(task => redactionOf(config).task(task)))
      after = page.older ?? undefined
      more = after !== undefined
    } while (more && tasks.length < limit)
    if (options.json) printJson(tasks)
    else if (tasks.length === 0) note('No task is like that.')
    else {
      const explain = createExplainer(config)
      print(
        formatTable(
          columns,
          tasks.map(task => ({ ...task, state: explain(task).state })),
        ),
      )
    }
    if (!options.json && more) note(`There are more; --limit ${limit * 5} shows them.`)
    return exitCodes.done
  })
}

const columns: Column<Task>[] = [
  { title: 'id', value: task => String(task.id), right: true },
  { title: 'uid', value: task => task.uid },
  { title: 'action', value: task => task.action, flexible: true },
  { title: 'type', value: task => task.type, flexible: true },
  { title: 'state', value: task => task.state },
  { title: 'params', value: task => JSON.stringify(task.params), flexible: true },
  { title: 'content', value: task => task.content ?? '', flexible: true },
]

const states = (given: string): TaskState[] =>
  given.split(',').map(name => {
    const found = [...onceStates, ...loopStates].find(state => state === name.trim())
    if (found) return found
    throw new BgtaskError(
      'usage',
      `--state is ${JSON.stringify(name)}; allowed are ${[...new Set([...onceStates, ...loopStates])].join(', ')}.`,
    )
  })
