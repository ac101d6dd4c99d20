import type { RunEnd } from '../runs/outcome-file.ts'
import type { Ticket } from '../runs/ticket.ts'
import type { StartedRun } from '../store/save-loops.ts'
import type { StartFacts } from '../task/start-facts.ts'
import { type Task, taskDefaults } from '../task/task.ts'
import type { Child } from './child.ts'

/** The task as its ticket knew it, for as long as the database has not been read. */
export const taskOf = (ticket: Ticket): Task => ({
  ...taskDefaults,
  id: ticket.taskId,
  uid: ticket.uid,
  action: ticket.action,
  params: ticket.params,
  execType: ticket.execType,
  type: ticket.type,
  creator: ticket.creator,
  state: ticket.execType === 'ONCE' ? 'running' : 'starting',
  wanted: 'up',
  content: null,
  reason: null,
  runAt: ticket.startedAt,
  uniqueKey: null,
  attempt: ticket.attempt,
  timeoutMs: ticket.timeoutMs,
  graceMs: ticket.graceMs,
  crashCount: 0,
  number: ticket.number,
  wish: ticket.wish,
  superseded: 0,
  edits: 0,
  host: ticket.host,
  epoch: ticket.epoch,
  createdAt: ticket.startedAt,
  startedAt: ticket.startedAt,
  finishedAt: null,
  updatedAt: ticket.startedAt,
})

/** The row of a run that has just begun, or was taken over. */
export const runOf = (ticket: Ticket, child: Child, startFacts: StartFacts | null): StartedRun => ({
  taskId: ticket.taskId,
  number: ticket.number,
  host: ticket.host,
  epoch: ticket.epoch,
  ...child.identity,
  startedAt: ticket.startedAt,
  endedAt: null,
  outcome: null,
  exitCode: null,
  signal: null,
  content: null,
  error: null,
  iterations: null,
  peakMemoryBytes: null,
  cpuMs: null,
  outputBytes: null,
  recycled: false,
  attempt: ticket.attempt,
  adopted: child.adopted,
  dueAt: null,
  downFrom: null,
  downTo: null,
  residentTask: null,
  endFacts: null,
  startFacts,
})

/** The end of a run that never had a process: no fault of the task. */
export const neverStarted = (why?: string): RunEnd => ({
  kind: 'interrupted',
  content: null,
  error: why ? `No process could be started: ${why}` : 'The supervisor ended before the process was started.',
  exitCode: null,
  signal: null,
  endedAt: Date.now(),
  iterations: null,
  peakMemoryBytes: null,
  cpuMs: null,
})
