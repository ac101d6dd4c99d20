import { noteAct } from '../api/audited.ts'
import { retryTask } from '../api/control.ts'
import { exitCodes } from '../errors.ts'
import { actor, commandLine } from './audited.ts'
import { taskGiven, withBackground } from './open.ts'
import { print, printJson } from './print.ts'

export const runRetry = async (given: string, { json }: { json?: boolean }): Promise<number> =>
  withBackground(async background => {
    const { id } = await taskGiven(background, given)
    const task = await retryTask(background, id, actor())
    await noteAct(background.db, commandLine(), { act: 'task-retry', subject: String(id) })
    if (json) printJson(task)
    else print(task.execType === 'FOREVER' ? `Loop ${id} gets a fresh process.` : `Task ${id} is ${task.state} again.`)
    return exitCodes.done
  })
