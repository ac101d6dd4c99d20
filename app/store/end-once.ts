import type { Selectable } from 'kysely'
import type { RunEnd } from '../runs/outcome-file.ts'
import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { AfterOnce } from '../task/after-once.ts'
import { isFinal, type Reason, type Task } from '../task/task.ts'
import { saveArtifacts } from './artifacts.ts'
import { noteEnded } from './counters.ts'
import type { Db } from './database.ts'
import { errorOf, type Failed, noteFailed } from './errors.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { releaseSuccessors } from './replace-task.ts'
import { fromEnd, fromProcess, fromReason, toTask } from './rows.ts'
import { type EndedRun, noteRunEnds } from './run-counts.ts'
import type { TaskRow } from './tables.ts'
import { type Executor, transact } from './transact.ts'

/** The end of a run of a ONCE task. */
export interface OnceEnd {
  taskId: number
  number: number
  end: RunEnd
  /** Which process it was, when that was not noted before. */
  process?: ProcessIdentity
  /** What becomes of the task; asked within the transaction, with the task as it stands then. */
  decide: (task: Task) => AfterOnce
}

/** `already`: it had been recorded before. `stale`: a newer run has begun since, or the task is gone; the task stays as it is. */
export type Recorded = 'recorded' | 'already' | 'stale'

/** Records how a run ended and what becomes of its task, in one transaction. May be repeated. */
export const endOnce = async (db: Db, taskId: number, number: number, end: RunEnd, decide: OnceEnd['decide']): Promise<Recorded> =>
  (await endOnceMany(db, [{ taskId, number, end, decide }]))[0]!

/** A task that has just failed for good, as it stands now. */
export interface OnceFailed {
  key: string
  task: Task
  end: RunEnd
}

/**
 * The same for several ends in one transaction.
 * @param alsoFailed done in the same transaction with those that have failed for good @returns in the order given
 */
export const endOnceMany = async (
  db: Db,
  ends: readonly OnceEnd[],
  alsoFailed?: (trx: Executor, failed: readonly OnceFailed[]) => Promise<void>,
): Promise<Recorded[]> => {
  if (ends.length === 0) return []
  // Everybody locks in the order of ids, so that two who end tasks never wait for each other.
  const ordered = ends.map((end, index) => ({ ...end, index })).sort((a, b) => a.taskId - b.taskId || a.number - b.number)
  return transact(db, async trx => {
    const ids = [...new Set(ordered.map(end => end.taskId))]
    const rows = await forUpdate(db, trx.selectFrom(fromIndex(db, 'PRIMARY')).selectAll().where('id', 'in', ids)).execute()
    const tasks = new Map(rows.map(row => [Number(row.id), row]))
    const recorded: Recorded[] = []
    const counted: Counted = { finals: [], failed: [], ended: [] }
    const now = Date.now()
    for (const end of ordered) {
      const row = tasks.get(end.taskId)
      recorded[end.index] = row ? await record(db, trx, row, end, now, counted) : 'stale'
    }
    const host = rows.find(row => row.host !== null)?.host ?? ''
    await noteEnded(db, trx, counted.finals, host, now)
    await noteRunEnds(db, trx, counted.ended, host)
    await noteFailed(db, trx, counted.failed)
    if (alsoFailed && counted.failed.length > 0) await alsoFailed(trx, counted.failed)
    return recorded
  })
}

/** What is to be counted in the same transaction. */
interface Counted {
  finals: { state: string; n: number }[]
  failed: (Failed & OnceFailed)[]
  ended: EndedRun[]
}

const record = async (
  db: Db,
  trx: Executor,
  row: Selectable<TaskRow>,
  { taskId, number, end, process, decide }: OnceEnd,
  now: number,
  counted: Counted,
): Promise<Recorded> => {
  const isFirst = await endRun(trx, row, number, { ...fromEnd(end), ...(process ? fromProcess(process) : {}) }, end.endedAt)
  if (isFirst) {
    await saveArtifacts(trx, taskId, number, end.artifacts)
    counted.ended.push({ action: row.action, outcome: end.kind, endedAt: end.endedAt })
  }
  const task = toTask(row)
  if (task.number !== number) return isFirst ? 'stale' : 'already'
  if (task.state !== 'running') return isFirst ? 'recorded' : 'already'
  const after = decide(task)
  const final = isFinal(after.state)
  const reason = withAsker(after.reason, task.reason)
  const error = after.state === 'failed' ? errorOf(task.action, end) : null
  await trx
    .updateTable('bg_task')
    .set({
      state: after.state,
      attempt: after.attempt,
      crash_count: after.crashCount,
      run_at: after.runAt,
      content: after.content,
      reason: fromReason(reason),
      due: final ? null : after.runAt > now ? 'later' : 'now',
      host: null,
      epoch: null,
      updated_at: now,
      ...(final ? { finished_at: end.endedAt, held_key: null, error_key: error?.key ?? null } : {}),
    })
    .where('id', '=', taskId) // locked and looked at above
    .execute()
  row.state = after.state
  if (final) {
    counted.finals.push({ state: after.state, n: 1 })
    if (error) {
      const { state, attempt, crashCount, runAt, content } = after
      const stands = { ...task, state, attempt, crashCount, runAt, content, reason, finishedAt: end.endedAt }
      counted.failed.push({ ...error, taskId, at: end.endedAt, task: stands, end })
    }
    // Only a task that was asked to stop can have been replaced, only one with a key be followed by another.
    if (task.wanted === 'down' || task.uniqueKey !== null) await releaseSuccessors(db, trx, taskId, now)
  }
  return 'recorded'
}

/** @returns false when the run's end is there already */
const endRun = async (
  trx: Executor,
  task: Selectable<TaskRow>,
  number: number,
  ended: ReturnType<typeof fromEnd>,
  endedAt: number,
): Promise<boolean> => {
  const { numUpdatedRows } = await trx
    .updateTable('bg_run')
    .set(ended)
    .where('task_id', '=', task.id)
    .where('number', '=', number)
    .where('outcome', 'is', null)
    .executeTakeFirst()
  if (numUpdatedRows > 0n) return true
  const there = await trx
    .selectFrom('bg_run')
    .select('number')
    .where('task_id', '=', task.id)
    .where('number', '=', number)
    .executeTakeFirst()
  if (there) return false
  const isCurrent = Number(task.number) === number
  await trx
    .insertInto('bg_run')
    .values({
      task_id: task.id,
      number,
      host: (isCurrent && task.host) || '',
      epoch: (isCurrent && task.epoch) || '',
      started_at: (isCurrent && task.started_at) || endedAt,
      attempt: task.attempt,
      adopted: 0,
      ...ended,
    })
    .execute()
  return true
}

// Who asked for the end, or which task replaced it, is still of interest when it has come.
const withAsker = (reason: Reason, before: Reason | null): Reason => {
  if (reason.code !== 'cancelled' || !before) return reason
  const asker = before.by ? { by: before.by } : {}
  if (before.code === 'replaced') return { ...reason, code: 'replaced', ...asker, ...(before.detail ? { detail: before.detail } : {}) }
  return before.code === 'cancelling' ? { ...reason, ...asker } : reason
}
