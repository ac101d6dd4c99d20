import type { Background } from '../api/background.ts'
import { holderOf } from '../api/control.ts'
import { notATask, taskGiven } from '../api/task-given.ts'
import { BgtaskError } from '../errors.ts'
import type { Task } from '../task/task.ts'
import { textOption } from './text-option.ts'

/** The task that a command is about. @param given its id or uid @param unique or the key that it holds @throws BgtaskError `usage`, `not-found` */
export const taskNamed = async (
  background: Pick<Background, 'db'>,
  given: string | undefined,
  unique: string | undefined,
): Promise<Task> => {
  if (given !== undefined && unique !== undefined) throw new BgtaskError('usage', 'Both an id and --unique are given; give one of them.')
  if (unique !== undefined) return holderOf(background, textOption('--unique', unique))
  if (given === undefined) throw new BgtaskError('usage', 'No task is given; give its id, or --unique with the key that it holds.')
  const fault = notATask(given)
  if (fault !== null) throw new BgtaskError('usage', fault)
  return taskGiven(background, given)
}
