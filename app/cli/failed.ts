import { askRecovery } from '../api/ask-recovery.ts'
import { recoveryBounds } from '../api/recover-failed.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { redactionOf } from '../runs/redaction.ts'
import { listErrors, type TaskError } from '../store/errors.ts'
import { countFailed, type FailedFilter } from '../store/recover.ts'
import { actor, commandLine } from './audited.ts'
import { wholeNumber, withBackground } from './open.ts'
import { formatTimeOrDash, print, printJson } from './print.ts'
import { type Column, formatTable } from './table.ts'

export interface FailedOptions extends FailedFilter {
  all?: boolean
  json?: boolean
}

/** By which errors tasks failed, and how many by each. */
export const runFailedList = async (options: { action?: string; limit: string; json?: boolean }): Promise<number> => {
  const limit = wholeNumber('--limit', options.limit, 1, 1_000)
  return withBackground(async ({ config, db }) => {
    const found = await listErrors(db, { limit, ...(options.action === undefined ? {} : { action: options.action }) })
    const errors = found.map(error => ({ ...error, sample: redactionOf(config).text(error.sample) }))
    if (options.json) printJson(errors)
    else if (errors.length === 0) print('Nothing is failed.')
    else print(formatTable(columns, errors))
    return exitCodes.done
  })
}

/** Retries or discards all that failed and fits, by a task of its own. */
export const runFailedRecovery = async (act: 'retry' | 'discard', { all, json, ...filter }: FailedOptions): Promise<number> => {
  if (Object.keys(filter).length === 0 && !all)
    throw new BgtaskError('usage', `Say which: --action, --type, --creator or --error; or --all to ${act} everything that failed.`)
  if (Object.keys(filter).length > 0 && all)
    throw new BgtaskError('usage', 'Both --all and what narrows it down are given; give one of them.')
  const empty = Object.entries(filter).find(([, value]) => value === '')?.[0]
  if (empty === 'action' || empty === 'error') throw new BgtaskError('usage', `--${empty} is empty; say which, or leave it out.`)
  return withBackground(async background => {
    const { count, isAll } = await countFailed(background.db, filter, recoveryBounds(act, Date.now()))
    const { task } = await askRecovery(background, act, filter, { by: actor(), actor: commandLine() })
    if (json) printJson({ task: redactionOf(background.config).task(task), count, isAll })
    else {
      const many = `${isAll ? '' : 'more than '}${count.toLocaleString('en')} failed ${count === 1 && isAll ? 'task' : 'tasks'}`
      const done = act === 'retry' ? 'run again' : 'discarded'
      print(
        `Task ${task.id} sees to it that ${many} ${count === 1 && isAll ? 'is' : 'are'} ${done}; ${ourCommand} show ${task.id} tells how far it is.`,
      )
    }
    return exitCodes.done
  })
}

const columns: Column<TaskError>[] = [
  { title: 'error', value: error => error.key },
  { title: 'tasks', value: error => String(error.count), right: true },
  { title: 'action', value: error => error.action, flexible: true },
  { title: 'last', value: error => formatTimeOrDash(error.lastAt) },
  { title: 'says', value: error => error.sample, flexible: true },
]
