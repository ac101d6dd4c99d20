import { audited } from '../api/audited.ts'
import { cancelTask } from '../api/control.ts'
import { taskGiven } from '../api/task-given.ts'
import { exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { actor, commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { print, printJson } from './print.ts'

export const runCancel = async (given: string, { json }: { json?: boolean }): Promise<number> =>
  withBackground(async background => {
    const { id } = await taskGiven(background, given)
    const act = { act: 'task-cancellation', subject: String(id) }
    const task = await audited(background.db, commandLine(), act, () => cancelTask(background, id, actor()))
    if (json) printJson(redactionOf(background.config).task(task))
    else
      print(
        task.state === 'cancelled'
          ? `Task ${id} is cancelled.`
          : `Task ${id} is asked to stop; it is ${task.state} until its run has ended.`,
      )
    return exitCodes.done
  })
