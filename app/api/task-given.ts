import { BgtaskError } from '../errors.ts'
import { findTaskByUid } from '../store/find-task.ts'
import type { Task } from '../task/task.ts'
import { told } from '../task/told.ts'
import type { Background } from './background.ts'
import { existing } from './control.ts'

/** @param given an id, or a uid @throws BgtaskError `not-found` */
export const taskGiven = async ({ db }: Pick<Background, 'db'>, given: string): Promise<Task> => {
  const id = /^[1-9]\d{0,15}$/.test(given) ? Number(given) : Number.NaN
  if (Number.isSafeInteger(id)) return existing({ db }, id)
  const task = /^[a-z0-9]{16}$/.test(given) ? await findTaskByUid(db, given) : null
  if (!task) throw new BgtaskError('not-found', told`Task ${given.slice(0, 64)} does not exist.`)
  return task
}
