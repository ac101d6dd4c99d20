import { commandAction } from '../commands/command-name.ts'
import { BgtaskError } from '../errors.ts'
import { ring } from '../runs/doorbell.ts'
import { redactionOf } from '../runs/redaction.ts'
import type { CallerTransaction } from '../store/database.ts'
import { editsKept, editTask as storeEdit } from '../store/edit-task.ts'
import { listEdits } from '../store/list-edits.ts'
import { type Edit, type EditEffect, fewPlaces, type Place, type TaskTerms } from '../task/edit.ts'
import { EXEC_TYPE_FOREVER, type Task } from '../task/task.ts'
import { stateWord, told } from '../task/told.ts'
import { type Actor, noteAct } from './audited.ts'
import type { Background } from './background.ts'
import { checkTask } from './check-task.ts'
import { existing } from './control.ts'
import { type ShownChanges, shownChanges } from './shown-changes.ts'

type Tools = Pick<Background, 'config' | 'db' | 'catalog'>

/** The terms as somebody gave them: what is checked like those of a new task. */
export type TermsGiven = Omit<TaskTerms, 'params'> & { params: unknown }

/** Whose change it is, when it takes effect, and whether it brings back what was before an earlier one. */
export interface EditWish {
  actor: Actor
  effect: EditEffect
  /** Places in the params that were given anew. Default: those that differ. */
  touched?: readonly Place[]
  revertOf?: number
  /** Done in the same transaction. */
  together?: (edit: Edit, trx: CallerTransaction) => Promise<void>
}

/**
 * Other params and limits for a loop, or for a ONCE task that waits: checked like a new task, stored in one transaction with its place in the task's
 * history and in the audit.
 * @param seen the task as whoever changes it has read it: what somebody else changed since is not overwritten
 * @throws BgtaskError `refused`; `conflict` when somebody else changed it meanwhile; `busy` when it does not wait any more; `not-found`
 */
export const editTask = async (
  tools: Tools,
  seen: Task,
  given: TermsGiven,
  { actor, effect, touched = [], revertOf, together }: EditWish,
): Promise<Edit> => {
  requireEditable(seen)
  const after = await checkedTerms(tools, seen, given)
  const redactor = redactionOf(tools.config).ofParams([seen.params, after.params])
  const shown = shownChanges(seen, after, { redactor, touched })
  if (shown.changes.length === 0)
    throw new BgtaskError('refused', told`Nothing of this differs from what task ${seen.id} has, so there is nothing to change.`)
  const act = revertOf === undefined ? 'task-edit' : 'task-reversal'
  const detail = `${seen.action}: ${namesOf(shown)}`
  const wish = { after, effect, by: actor.name, via: actor.via, revertOf: revertOf ?? null, touched: fewPlaces(touched) }
  const edited = await storeEdit(tools.db, seen, wish, Date.now(), async (edit, trx) => {
    await together?.(edit, trx)
    await noteAct(tools.db, actor, { act, subject: String(edit.taskId), detail }, trx)
  })
  if (edited.done === 'edited') {
    ring(tools.config.runtime)
    return edited.edit
  }
  const task = await existing(tools, seen.id)
  if (edited.done === 'begun') throw begun(task)
  throw changedMeanwhile(seen)
}

/** Brings back the terms from before an edit, and with them those from before all that came after it. @throws as editTask */
export const revertEdit = async (
  tools: Tools,
  seen: Task,
  n: number,
  wish: Pick<EditWish, 'actor' | 'effect' | 'together'>,
): Promise<Edit> => {
  const since = (await listEdits(tools.db, seen.id, { limit: editsKept })).filter(edit => edit.n >= n)
  const edit = since.at(-1)
  if (edit?.n !== n) throw new BgtaskError('not-found', told`Task ${seen.id} has no edit ${n}, or it is kept no longer.`)
  return editTask(tools, seen, edit.before, { ...wish, touched: since.flatMap(({ touched }) => touched), revertOf: n })
}

/** @throws BgtaskError `refused` for a command, `busy` for a ONCE task that does not wait */
export const requireEditable = (task: Task): void => {
  // What it may be given stands in the commands file, and is shown before it is run.
  if (task.action === commandAction)
    throw new BgtaskError('refused', told`Task ${task.id} is a command; it is not changed but run again, with other values.`)
  if (!isEditable(task)) throw begun(task)
}

export const changedMeanwhile = ({ id }: Pick<Task, 'id'>) =>
  new BgtaskError('conflict', told`Somebody else changed task ${id} meanwhile, so nothing was stored.`)

export const isEditable = ({ action, execType, state }: Pick<Task, 'action' | 'execType' | 'state'>): boolean =>
  action !== commandAction && (execType === EXEC_TYPE_FOREVER || state === 'waiting')

const checkedTerms = async (tools: Tools, { action, execType }: Task, { params, ...limits }: TermsGiven): Promise<TaskTerms> => {
  const { task } = await checkTask(await tools.catalog(), action, params, { ...limits, execType }, { now: Date.now() })
  return task
}

/** Names only: the audit is read by other people than the task's page, and kept longer. */
const namesOf = ({ changes, more }: ShownChanges): string => {
  const names = changes.map(({ limit, name }) => limit ?? (name === 'params' ? name : `params.${name}`).slice(0, 80))
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ')
}

const begun = (task: Task) =>
  new BgtaskError(
    'busy',
    told`Task ${task.id} is ${stateWord(task.state)}; params and limits can be changed of a loop, and of a once-task as long as it waits.`,
  )
