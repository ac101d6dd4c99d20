import type { Background } from '../api/background.ts'
import { existing } from '../api/control.ts'
import { loadConfig } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { findTaskByUid } from '../store/find-task.ts'
import type { Task } from '../task/task.ts'

/** Opens the background, brings the tables up to date, and closes it after the work. */
export const withBackground = async <Result>(work: (background: Background) => Promise<Result>): Promise<Result> => {
  const { openBackground } = await import('../api/background.ts')
  const background = await openBackground(await loadConfig())
  try {
    return await work(background)
  } finally {
    await background.close()
  }
}

/** @param given an id, or a uid @throws BgtaskError `not-found` */
export const taskGiven = async ({ db }: Pick<Background, 'db'>, given: string): Promise<Task> => {
  const id = /^[1-9]\d{0,15}$/.test(given) ? Number(given) : Number.NaN
  if (Number.isSafeInteger(id)) return existing({ db }, id)
  const task = /^[a-z0-9]{16}$/.test(given) ? await findTaskByUid(db, given) : null
  if (!task) throw new BgtaskError('not-found', `Task ${given.slice(0, 64)} does not exist.`)
  return task
}

/** A whole number given as an option. @throws BgtaskError `usage` */
export const wholeNumber = (name: string, given: string, least: number, most: number): number => {
  const value = /^-?\d+$/.test(given.trim()) ? Number(given) : Number.NaN
  if (value >= least && value <= most) return value
  throw new BgtaskError('usage', `${name} is ${JSON.stringify(given)}; allowed are whole numbers from ${least} to ${most}.`)
}
