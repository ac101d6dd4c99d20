import { audited } from '../api/audited.ts'
import { cancelByKey, cancelTask } from '../api/control.ts'
import { exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { actor, commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { print, printJson } from './print.ts'
import { taskNamed } from './task-named.ts'

export const runCancel = async (given: string | undefined, { json, unique }: { json?: boolean; unique?: string }): Promise<number> =>
  withBackground(async background => {
    const { id } = await taskNamed(background, given, unique)
    const act = {
      act: 'task-cancellation',
      subject: String(id),
      ...(unique === undefined ? {} : { detail: `by its unique key ${unique}` }),
    }
    const task = await audited(background.db, commandLine(), act, () =>
      unique === undefined ? cancelTask(background, id, actor()) : cancelByKey(background, unique, actor()),
    )
    if (json) printJson(redactionOf(background.config).task(task))
    else
      print(
        task.state === 'cancelled'
          ? `Task ${id} is cancelled.`
          : `Task ${id} is asked to stop; it is ${task.state} until its run has ended.`,
      )
    return exitCodes.done
  })
