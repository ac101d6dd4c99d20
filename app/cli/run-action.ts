import { type Background, openBackground } from '../api/background.ts'
import { findAction } from '../api/check-task.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { hostId } from '../runs/host-id.ts'
import type { Ticket } from '../runs/ticket.ts'
import type { Task } from '../task/task.ts'
import { taskGiven, wholeNumber } from './open.ts'

/**
 * `<action> <id>`: runs the action for that task here, in the foreground, and leaves the task's row alone.
 * BGTASK_MAX_ITERATIONS in the environment ends a loop after so many.
 * @returns 0 or 1
 */
export const runAction = async ([action, id, ...more]: readonly string[]): Promise<number> => {
  if (!action || !id || more.length > 0 || id.startsWith('-')) {
    throw new BgtaskError(
      'usage',
      `${id ? 'That is not understood.' : "The task's id is missing."} A task is run by hand with: node index.js <action> <id>`,
    )
  }
  const iterationLimit = iterations()
  const { ticket, databaseUrl } = await prepare(action, id)
  const { runByHand } = await import('../runner/run-by-hand.ts')
  const outcome = await runByHand(ticket, { databaseUrl, iterationLimit })
  return outcome.kind === 'succeeded' || outcome.kind === 'interrupted' ? exitCodes.done : exitCodes.failed
}

// What the action starts itself is none of this run.
const iterations = (): number | null => {
  const given = process.env.BGTASK_MAX_ITERATIONS
  delete process.env.BGTASK_MAX_ITERATIONS
  return given ? wholeNumber('BGTASK_MAX_ITERATIONS', given, 1, 1e9) : null
}

// The action may run for hours: the database is closed before, and opened by the action itself if it wants it.
const prepare = async (action: string, id: string): Promise<{ ticket: Ticket; databaseUrl: string }> => {
  const background = await openBackground()
  try {
    const catalog = await background.catalog()
    findAction(catalog, action)
    const task = await taskGiven(background, id)
    if (task.action !== action) {
      throw new BgtaskError(
        'failed',
        `Task ${task.id} is one of ${task.action}, not of ${action}; run: node index.js ${task.action} ${task.id}`,
      )
    }
    return { ticket: ticketOf(task, catalog, hostId(background.config.runtime)), databaseUrl: background.config.databaseUrl }
  } finally {
    await background.close()
  }
}

const ticketOf = (task: Task, catalog: Awaited<ReturnType<Background['catalog']>>, host: string): Ticket => {
  const entry = findAction(catalog, task.action)
  return {
    taskId: task.id,
    uid: task.uid,
    number: task.number,
    action: task.action,
    file: entry.file,
    exportName: entry.exportName,
    params: task.params,
    execType: task.execType,
    type: task.type,
    creator: task.creator,
    attempt: task.attempt,
    timeoutMs: task.timeoutMs,
    graceMs: task.graceMs,
    stallMs: null,
    stallRestart: false,
    epoch: 'by-hand',
    host,
    wish: task.wish,
    mark: '',
    startedAt: Date.now(),
  }
}
