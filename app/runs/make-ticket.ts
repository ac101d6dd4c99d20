import { randomBytes } from 'node:crypto'
import { runName } from '../task/run.ts'
import type { Task } from '../task/task.ts'
import type { Ticket } from './ticket.ts'

/**
 * The ticket of one run of a task, as its row and its action say it.
 * @param run `marked`: the run, and all it starts, can be found by a mark of its own
 */
export const makeTicket = (
  task: Task,
  action: Pick<Ticket, 'file' | 'exportName' | 'stallMs' | 'stallRestart'>,
  { number, host, epoch, marked }: { number: number; host: string; epoch: string; marked: boolean },
): Ticket => ({
  taskId: task.id,
  uid: task.uid,
  number,
  action: task.action,
  file: action.file,
  exportName: action.exportName,
  params: task.params,
  execType: task.execType,
  type: task.type,
  creator: task.creator,
  attempt: task.attempt,
  timeoutMs: task.timeoutMs,
  graceMs: task.graceMs,
  stallMs: action.stallMs,
  stallRestart: action.stallRestart,
  epoch,
  host,
  wish: task.wish,
  mark: marked ? `${host}/${runName(task.id, number)}/${randomBytes(6).toString('hex')}` : '',
  startedAt: Date.now(),
})
