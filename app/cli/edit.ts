import { text as readAll } from 'node:stream/consumers'
import { editTask, revertEdit, type TermsGiven } from '../api/edit-task.ts'
import { shownChanges } from '../api/shown-changes.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { type Edit, limitsOfKind, termsOf } from '../task/edit.ts'
import type { Task } from '../task/task.ts'
import { type AddOptions, parseParams, taskOptions } from './add.ts'
import { commandLine } from './audited.ts'
import { wholeNumber, withBackground } from './open.ts'
import { print, printJson } from './print.ts'
import { taskNamed } from './task-named.ts'

export interface EditOptions extends Pick<AddOptions, 'priority' | 'maxAttempts' | 'timeout' | 'grace'> {
  restart?: boolean
  revert?: string
  json?: boolean
}

/** @param json the new params; without, they stay as they are */
export const runEdit = async (named: string, json: string | undefined, given: EditOptions): Promise<number> => {
  const { json: asJson, restart, revert, ...limits } = given
  const isGiven = json !== undefined || Object.keys(limits).length > 0
  if (revert !== undefined && isGiven)
    throw new BgtaskError('usage', '--revert brings back what was before; leave out the params and the limits, or --revert.')
  if (revert === undefined && !isGiven)
    throw new BgtaskError(
      'usage',
      'Nothing to change is given; give params, --grace or another limit, or --revert with the number of a change.',
    )
  const n = revert === undefined ? null : wholeNumber('--revert', revert, 1, Number.MAX_SAFE_INTEGER)
  const params = json === undefined ? undefined : parseParams(json === '-' ? await readAll(process.stdin) : json)
  return withBackground(async background => {
    const task = await taskNamed(background, named, undefined)
    const wish = { actor: commandLine(), effect: restart ? 'restart' : 'next' } as const
    const edit =
      n === null ? await editTask(background, task, termsGiven(task, params, limits), wish) : await revertEdit(background, task, n, wish)
    const redactor = redactionOf(background.config).ofParams([edit.before.params, edit.after.params])
    if (asJson) printJson({ taskId: edit.taskId, n: edit.n, effect: edit.effect, ...shownChanges(edit.before, edit.after, { redactor }) })
    else print(told(edit))
    return exitCodes.done
  })
}

/** @throws BgtaskError `usage` for a limit that means nothing for the kind of task */
const termsGiven = (
  task: Task,
  params: unknown,
  given: Pick<EditOptions, 'priority' | 'maxAttempts' | 'timeout' | 'grace'>,
): TermsGiven => {
  const { priority, maxAttempts, timeoutMs, graceMs } = taskOptions(given)
  const limits = Object.fromEntries(
    Object.entries({ priority, maxAttempts, timeoutMs, graceMs }).filter(([, value]) => value !== undefined),
  )
  const strange = Object.keys(limits).find(name => !limitsOfKind(task).some(offered => offered === name))
  if (strange !== undefined)
    throw new BgtaskError('usage', `Task ${task.id} is a loop, which has no ${strange}; of its limits, give --grace.`)
  return { ...termsOf(task), ...limits, ...(params === undefined ? {} : { params }) }
}

const told = ({ taskId, n, effect }: Edit): string =>
  `Task ${taskId} has other params or limits (change ${n}); they count ${effect === 'restart' ? 'after its current iteration, by a fresh process' : 'from its next start'}.`
