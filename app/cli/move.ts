import { audited } from '../api/audited.ts'
import { moveTask } from '../api/control.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { actor, commandLine } from './audited.ts'
import { dueTime } from './due-time.ts'
import { withBackground } from './open.ts'
import { formatTime, print, printJson } from './print.ts'
import { taskNamed } from './task-named.ts'

export interface MoveOptions {
  unique?: string
  at?: string
  in?: string
  json?: boolean
}

export const runMove = async (given: string | undefined, options: MoveOptions): Promise<number> => {
  const runAt = dueTime(options, Date.now())
  if (runAt === null) throw new BgtaskError('usage', 'Give one of --at and --in: when the task is due from now on.')
  return withBackground(async background => {
    const { id, action, runAt: before } = await taskNamed(background, given, options.unique)
    const detail = `${action}, from ${new Date(before).toISOString()} to ${new Date(runAt).toISOString()}`
    const act = { act: 'task-move', subject: String(id), detail }
    const task = await audited(background.db, commandLine(), act, () => moveTask(background, id, runAt, actor(), 'all'))
    if (options.json) printJson(redactionOf(background.config).task(task))
    else print(`Task ${id} is due ${runAt > Date.now() ? `at ${formatTime(task.runAt)}` : 'now'}.`)
    return exitCodes.done
  })
}
