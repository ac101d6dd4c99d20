import { noteAct } from '../api/audited.ts'
import { cancelTask } from '../api/control.ts'
import { exitCodes } from '../errors.ts'
import { actor, commandLine } from './audited.ts'
import { taskGiven, withBackground } from './open.ts'
import { print, printJson } from './print.ts'

export const runCancel = async (given: string, { json }: { json?: boolean }): Promise<number> =>
  withBackground(async background => {
    const { id } = await taskGiven(background, given)
    const task = await cancelTask(background, id, actor())
    await noteAct(background.db, commandLine(), { act: 'task-cancellation', subject: String(id) })
    if (json) printJson(task)
    else
      print(
        task.state === 'cancelled'
          ? `Task ${id} is cancelled.`
          : `Task ${id} is asked to stop; it is ${task.state} until its run has ended.`,
      )
    return exitCodes.done
  })
