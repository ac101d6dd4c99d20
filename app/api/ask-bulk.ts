import { commandAction } from '../commands/command-name.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { type Bulk, type BulkAct, findBulk, insertBulk, noteUndone, sliceItems } from '../store/bulk.ts'
import { findTask } from '../store/find-task.ts'
import type { TaskFilter } from '../store/list-tasks.ts'
import { bulkAction } from '../task/core-actions.ts'
import { isFinal, type Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import type { Background } from './background.ts'
import type { AddedBy } from './store-tasks.ts'

/** What an act can be done to, of the tasks that a filter lets through: null when none of them can be like that. */
export const bulkFilter = (act: BulkAct, filter: TaskFilter): TaskFilter | null => {
  const kind = act === 'start' || act === 'stop' || act === 'restart' ? 'FOREVER' : 'ONCE'
  if (filter.execType !== undefined && filter.execType !== kind) return null
  const wanted = filter.states
  if (kind === 'FOREVER') return { ...filter, execType: kind, wanted: act === 'start' ? 'down' : 'up' }
  const possible = act === 'deletion' ? (['succeeded', 'failed', 'cancelled'] as const) : (['waiting'] as const)
  const states = possible.filter(state => wanted === undefined || wanted.includes(state))
  if (states.length === 0) return null
  // Who may run a command is asked for each of them: so they are run one by one, by those who may.
  if (act === 'run') return { ...filter, execType: kind, states, due: 'later', without: commandAction }
  return { ...filter, execType: kind, states }
}

/** Acts that can be undone, as long as is remembered what they did. */
export const canUndo = (act: BulkAct): boolean => act === 'start' || act === 'stop' || act === 'cancellation'

export interface BulkAsked {
  act: BulkAct
  /** As bulkFilter() returns it. */
  filter: TaskFilter
  /** Only tasks up to this id: what was added after the preview is left alone. */
  upTo: number
  expected: number
  isAll: boolean
}

interface AskedBy {
  /** As told on pages. */
  by: string
  /** Whose act it is, for the audit. */
  actor: AddedBy
}

/** Adds the task that does this to all tasks which the filter lets through. */
export const askBulk = (background: Background, asked: BulkAsked, { by, actor }: AskedBy): Promise<Task> => {
  const of = redactionOf(background.config).text(describeTaskFilter(asked.filter))
  const detail = `${asked.isAll ? '' : 'more than '}${asked.expected}: ${of}`
  return store(background, { ...asked, undoOf: null }, { by, actor: { ...actor, act: `bulk-${asked.act}`, detail } })
}

/**
 * Adds the task that puts back what an earlier one changed, as far as it still is so.
 * @throws BgtaskError `not-found`; `refused` when it cannot be undone; `busy` when it is still at work, or somebody undid it
 */
export const askUndo = async (background: Background, id: number, { by, actor }: AskedBy): Promise<Task> => {
  const bulk = await findBulk(background.db, id)
  if (!bulk)
    throw new BgtaskError(
      'not-found',
      told`What task ${id} changed is not remembered: it is no act on many tasks, or was done too long ago.`,
    )
  if (bulk.undoOf !== null || !canUndo(bulk.act)) throw new BgtaskError('refused', told`What task ${id} did cannot be undone.`)
  const task = await findTask(background.db, id)
  if (task && !isFinal(task.state)) throw new BgtaskError('busy', told`Task ${id} is still at it: cancel it first, or wait for its end.`)
  if ((await sliceItems(background.db, id, { after: 0, atOnce: 1 })).length === 0)
    throw new BgtaskError('refused', told`Task ${id} changed nothing that is left to undo.`)
  const { act, filter, upTo, expected, isAll } = bulk
  return store(
    background,
    { act, filter, upTo, expected, isAll, undoOf: id },
    { by, actor: { ...actor, act: 'bulk-undo', detail: `of task ${id}` } },
  )
}

const store = async (background: Background, asked: Omit<Bulk, 'id' | 'askedAt' | 'askedBy' | 'undoneBy'>, { by, actor }: AskedBy) => {
  const askedAt = Date.now()
  // Ahead of what it may do with tasks that wait.
  const options = { type: 'bulk', creator: by, priority: -100 }
  const [stored] = await background.storeTasks([{ action: bulkAction, params: {}, options }], {
    by,
    actor,
    together: async ([added], trx) => {
      const { id } = added!.task
      await insertBulk(trx, { id, ...asked, askedAt, askedBy: by })
      if (asked.undoOf !== null && !(await noteUndone(trx, asked.undoOf, id)))
        throw new BgtaskError('busy', told`Somebody has undone task ${asked.undoOf} already.`)
    },
  })
  return stored!.task
}

/** `ONCE state:waiting action:report/build`. */
const describeTaskFilter = ({ states, execType, wanted: _wanted, due: _due, without: _without, ...rest }: TaskFilter): string =>
  [
    ...(execType ? [execType] : []),
    ...(states ? [`state:${states.join('|')}`] : []),
    ...Object.entries(rest).map(([name, value]) => `${name}:${value}`),
  ].join(' ')
