import { BgtaskError } from '../errors.ts'
import { findTaskByUid } from '../store/find-task.ts'
import type { Task } from '../task/task.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Background } from './background.ts'
import { existing } from './control.ts'
import { showValue } from './show-value.ts'

/** @param given an id, or a uid @throws BgtaskError `not-found` */
export const taskGiven = async ({ db }: Pick<Background, 'db'>, given: string): Promise<Task> => {
  const id = /^[1-9]\d{0,15}$/.test(given) ? Number(given) : Number.NaN
  if (Number.isSafeInteger(id)) return existing({ db }, id)
  const fault = notATask(given)
  if (fault !== null) throw new BgtaskError('not-found', fault)
  const task = await findTaskByUid(db, given)
  if (!task) throw new BgtaskError('not-found', told`Task ${given} does not exist.`)
  return task
}

/** @returns why a text can name no task; null when it can */
export const notATask = (given: string): Sentence | null =>
  /^(?:[1-9]\d{0,15}|[a-z0-9]{16})$/.test(given)
    ? null
    : told`There is no task ${showValue(given)}: one is named by its id, a whole number from 1 on, or by its uid, 16 of a-z and 0-9.`
