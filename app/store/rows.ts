import { createHash } from 'node:crypto'
import type { Insertable, Selectable } from 'kysely'
import type { RunEnd } from '../runs/outcome-file.ts'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { EndFacts } from '../task/end-facts.ts'
import type { OutcomeKind } from '../task/outcome.ts'
import type { Run } from '../task/run.ts'
import type { ExecType, Json, Reason, Task, TaskState, Wanted } from '../task/task.ts'
import type { RunRow, TaskRow } from './tables.ts'

// The one place that knows snake_case, milliseconds and JSON text. Numbers are converted, since the caller's own connection
// (addTask with trx) may give bigints as text.

export const toTask = (row: Selectable<TaskRow>): Task => ({
  id: Number(row.id),
  uid: row.uid,
  action: row.action,
  params: JSON.parse(row.params) as Json,
  execType: row.exec_type as ExecType,
  type: row.type,
  creator: row.creator,
  state: row.state as TaskState,
  wanted: row.wanted as Wanted,
  content: row.content,
  reason: row.reason === null ? null : (JSON.parse(row.reason) as Reason),
  priority: Number(row.priority),
  runAt: Number(row.run_at),
  uniqueKey: row.unique_key,
  attempt: Number(row.attempt),
  maxAttempts: Number(row.max_attempts),
  timeoutMs: numberOrNull(row.timeout_ms),
  graceMs: Number(row.grace_ms),
  rerunAfterCrash: Number(row.rerun_after_crash) === 1,
  crashCount: Number(row.crash_count),
  number: Number(row.number),
  wish: Number(row.wish),
  superseded: Number(row.superseded),
  edits: Number(row.edits),
  host: row.host,
  epoch: row.epoch,
  createdAt: Number(row.created_at),
  startedAt: numberOrNull(row.started_at),
  finishedAt: numberOrNull(row.finished_at),
  updatedAt: Number(row.updated_at),
})

export const toRun = (row: Selectable<RunRow>): Run => ({
  taskId: Number(row.task_id),
  number: Number(row.number),
  host: row.host,
  epoch: row.epoch,
  pid: numberOrNull(row.pid),
  startTicks: numberOrNull(row.start_ticks),
  bootId: row.boot_id,
  startedAt: Number(row.started_at),
  endedAt: numberOrNull(row.ended_at),
  outcome: row.outcome as OutcomeKind | null,
  exitCode: numberOrNull(row.exit_code),
  signal: row.signal,
  content: row.content,
  error: row.error,
  iterations: numberOrNull(row.iterations),
  peakMemoryBytes: numberOrNull(row.peak_memory_bytes),
  cpuMs: numberOrNull(row.cpu_ms),
  outputBytes: numberOrNull(row.output_bytes),
  recycled: Number(row.recycled) === 1,
  attempt: Number(row.attempt),
  adopted: Number(row.adopted) === 1,
  dueAt: numberOrNull(row.due_at),
  downFrom: numberOrNull(row.down_from),
  downTo: numberOrNull(row.down_to),
  residentTask: numberOrNull(row.resident_task),
  endFacts: row.end_facts === null ? null : (JSON.parse(row.end_facts) as EndFacts),
})

export const fromRun = (run: Run): Insertable<RunRow> => ({
  task_id: run.taskId,
  number: run.number,
  host: run.host,
  epoch: run.epoch,
  pid: run.pid,
  start_ticks: run.startTicks,
  boot_id: run.bootId,
  started_at: run.startedAt,
  ended_at: run.endedAt,
  outcome: run.outcome,
  exit_code: run.exitCode,
  signal: run.signal,
  content: run.content,
  error: run.error,
  iterations: run.iterations,
  peak_memory_bytes: run.peakMemoryBytes,
  cpu_ms: run.cpuMs,
  output_bytes: run.outputBytes,
  recycled: run.recycled ? 1 : 0,
  attempt: run.attempt,
  adopted: run.adopted ? 1 : 0,
  due_at: run.dueAt,
  down_from: run.downFrom,
  down_to: run.downTo,
  resident_task: run.residentTask,
  end_facts: factsText(run.endFacts),
})

/** The columns of a run that its end fills in. */
export const fromEnd = (end: RunEnd) => ({
  ended_at: end.endedAt,
  outcome: end.kind,
  exit_code: end.exitCode,
  signal: end.signal,
  content: end.content,
  error: end.error,
  iterations: end.iterations,
  peak_memory_bytes: end.peakMemoryBytes,
  cpu_ms: end.cpuMs,
  output_bytes: end.outputBytes ?? null,
  recycled: end.recycled ? 1 : 0,
  end_facts: factsText(end.facts),
  ...(end.startFacts ? { start_facts: JSON.stringify(end.startFacts) } : {}),
})

export const fromProcess = (identity: ProcessIdentity) => ({
  pid: identity.pid,
  start_ticks: identity.startTicks,
  boot_id: identity.bootId,
})

export const fromReason = (reason: Reason | null): string | null => (reason === null ? null : JSON.stringify(reason))

/** Short and of one length, so that any key fits a unique index; nobody can make two keys with the same hash. */
export const heldKey = (uniqueKey: string): Uint8Array => createHash('sha256').update(uniqueKey).digest().subarray(0, 16)

const factsText = (facts: EndFacts | null | undefined): string | null =>
  facts && Object.keys(facts).length > 0 ? JSON.stringify(facts) : null

const numberOrNull = (value: number | null): number | null => (value === null ? null : Number(value))
