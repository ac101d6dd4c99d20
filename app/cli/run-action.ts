import { existsSync } from 'node:fs'
import { noteAct } from '../api/audited.ts'
import { openBackground } from '../api/background.ts'
import { findAction } from '../api/check-task.ts'
import { taskGiven } from '../api/task-given.ts'
import type { ActionEntry } from '../catalog/action-entry.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { ourCommand } from '../paths.ts'
import { hostId } from '../runs/host-id.ts'
import { makeTicket } from '../runs/make-ticket.ts'
import { findRunUser } from '../runs/run-user.ts'
import { prepareRuntimeFolder } from '../runs/runtime-folder.ts'
import type { Ticket } from '../runs/ticket.ts'
import { namesOf } from '../task/limits.ts'
import type { Task } from '../task/task.ts'
import { commandLine } from './audited.ts'
import { wholeNumber } from './open.ts'

/**
 * `<action> <id>`: runs the action for that task here, in the foreground, and leaves the task's row alone.
 * BGTASK_MAX_ITERATIONS in the environment ends a loop after so many; BGTASK_AUDITED says that whoever started this has told the audit.
 * @returns 0 or 1
 */
export const runAction = async ([action, id, ...more]: readonly string[]): Promise<number> => {
  if (!action || !id || more.length > 0 || id.startsWith('-')) {
    throw new BgtaskError(
      'usage',
      `${id ? 'That is not understood.' : "The task's id is missing."} A task is run by hand with: ${ourCommand} <action> <id>`,
    )
  }
  const iterationLimit = iterations()
  const isTold = process.env.BGTASK_AUDITED === '1'
  delete process.env.BGTASK_AUDITED
  const { ticket, databaseUrl } = await prepare(action, id, isTold)
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
const prepare = async (action: string, id: string, isTold: boolean): Promise<{ ticket: Ticket; databaseUrl: string | null }> => {
  const background = await openBackground()
  try {
    const catalog = await background.catalog()
    const entry = findAction(catalog, action)
    const task = await taskGiven(background, id)
    if (task.action !== action) {
      throw new BgtaskError(
        'failed',
        `Task ${task.id} is one of ${task.action}, not of ${action}; run: ${ourCommand} ${task.action} ${task.id}`,
      )
    }
    // With a database server, nothing may have been started here before that made it.
    if (!existsSync(background.config.runtime)) prepareRuntimeFolder(background.config.runtime)
    if (!isTold) await noteAct(background.db, commandLine(), { act: 'run-by-hand', subject: String(task.id), detail: action })
    const ticket = await prepareTicket(task, entry, hostId(background.config.runtime))
    return { ticket, databaseUrl: ticket.bounds?.database === false ? null : background.config.databaseUrl }
  } finally {
    await background.close()
  }
}

// Of its limits the user holds here too, since it is what protects us; the others are for runs that nobody looks at.
const prepareTicket = async (task: Task, entry: ActionEntry, host: string): Promise<Ticket> => {
  const action = { ...entry, stallMs: null, stallRestart: false }
  const ticket = makeTicket(task, action, { number: task.number, host, epoch: 'by-hand', marked: false })
  const { limits } = entry
  if (!limits) return ticket
  const { runAs, database, ...others } = limits
  const unheld = namesOf({ ...others, runAs: null, database: false })
  if (unheld) console.error(`bgtask: by hand it is not held to its limits: ${unheld}`)
  if (runAs === null) return { ...ticket, limits }
  const user = await findRunUser(runAs)
  if (user === null)
    throw new BgtaskError('misconfigured', `${task.action} asks to run as ${runAs}, and there is no such user on this machine.`)
  const ownUid = process.getuid?.() ?? -1
  if (user.uid === ownUid) return { ...ticket, limits }
  if (ownUid !== 0)
    throw new BgtaskError('misconfigured', `${task.action} asks to run as ${runAs}, and only root can start it as another user.`)
  const bounds = { user, noNewPrivileges: false, leaves: [], dataBytes: null, userProcesses: null, database }
  return { ...ticket, limits, bounds }
}
