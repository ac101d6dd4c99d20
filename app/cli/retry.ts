import { audited } from '../api/audited.ts'
import { retryTask } from '../api/control.ts'
import { exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { actor, commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { print, printJson } from './print.ts'
import { taskNamed } from './task-named.ts'

export const runRetry = async (given: string, { json }: { json?: boolean }): Promise<number> =>
  withBackground(async background => {
    const { id } = await taskNamed(background, given, undefined)
    const act = { act: 'task-retry', subject: String(id) }
    const task = await audited(background.db, commandLine(), act, () => retryTask(background, id, actor(), 'all'))
    if (json) printJson(redactionOf(background.config).task(task))
    else print(task.execType === 'FOREVER' ? `Loop ${id} gets a fresh process.` : `Task ${id} is ${task.state} again.`)
    return exitCodes.done
  })
