import type { RunEnd } from '../runs/outcome-file.ts'
import type { Ticket } from '../runs/ticket.ts'
import { isCrash } from '../task/outcome.ts'
import { runName } from '../task/run.ts'
import type { Log } from './supervisor.ts'

/** One line in the supervisor's log for a run that died. Nothing of what the run was given or printed: that stays in its folder. */
export const tellCrash = (log: Log, { taskId, number, action }: Pick<Ticket, 'taskId' | 'number' | 'action'>, end: RunEnd): void => {
  if (!isCrash(end.kind)) return
  const how = end.signal ?? (end.exitCode === null ? null : `exit code ${end.exitCode}`)
  log.warn(`run ${runName(taskId, number)} (${action}) has crashed: ${end.kind}${how === null ? '' : `, ${how}`}`)
}
