import { CompiledQuery } from 'kysely'
import type { RunEnd } from '../runs/outcome-file.ts'
import type { Run } from '../task/run.ts'
import type { StartFacts } from '../task/start-facts.ts'
import type { LoopState, Reason } from '../task/task.ts'
import { saveArtifacts } from './artifacts.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { noteBadEnd } from './loop-errors.ts'
import { releaseSuccessors } from './replace-task.ts'
import { fromEnd, fromReason, fromRun } from './rows.ts'
import { noteRunEnds } from './run-counts.ts'
import type { RunRow } from './tables.ts'
import { type Executor, transact } from './transact.ts'

/** @property startFacts with what it was started, where that is known */
export type StartedRun = Run & { startFacts?: StartFacts | null }

/** Where a loop stands. Times are milliseconds since 1970. */
export interface LoopFact {
  taskId: number
  /** Number of its newest run; a fact with an older number than the row's changes nothing. */
  number: number
  state: LoopState
  reason: Reason | null
  runAt: number
  /** Left as it is when not given. */
  content?: string | null
  startedAt: number | null
  finishedAt: number | null
}

export interface LoopFacts {
  facts: readonly LoopFact[]
  starts: readonly StartedRun[]
  ends: readonly { taskId: number; number: number; end: RunEnd }[]
}

/**
 * Writes what became of loops, in one transaction. May be repeated as a whole or in parts, also late.
 * @param together done in the same transaction
 */
export const saveLoops = (
  db: Db,
  owner: { host: string; epoch: string },
  { facts, starts, ends }: LoopFacts,
  together?: (trx: Executor) => Promise<void>,
): Promise<void> =>
  transact(db, async trx => {
    const now = Date.now()
    for (let first = 0; first < starts.length; first += startsAtOnce) await insertStarts(db, trx, starts.slice(first, first + startsAtOnce))
    const ended: LoopFacts['ends'][number][] = []
    for (const end of byTask(ends)) if (await endRun(db, trx, owner, end, facts)) ended.push(end)
    for (const fact of byTask(facts)) await saveFact(db, trx, owner, fact, now)
    await countEnds(db, trx, owner.host, ended)
    await together?.(trx)
  })

const startsAtOnce = 50

// A run that is there already only learns what was not known of it.
const insertStarts = async (db: Db, trx: Executor, runs: readonly StartedRun[]) => {
  const rows = byTask(runs).map(run => ({ ...fromRun(run), start_facts: run.startFacts ? JSON.stringify(run.startFacts) : null }))
  const columns = Object.keys(rows[0]!) as (keyof RunRow)[]
  const given = (column: string) => (db.dialect === 'sqlite' ? `excluded.${column}` : `VALUES(${column})`)
  const learnt = ['pid', 'start_ticks', 'boot_id', 'start_facts'].map(column => `${column} = COALESCE(bg_run.${column}, ${given(column)})`)
  const sql = [
    `INSERT INTO bg_run (${columns.map(column => `\`${column}\``).join(', ')})`,
    `VALUES ${rows.map(() => `(${columns.map(() => '?').join(', ')})`).join(', ')}`,
    db.dialect === 'sqlite' ? 'ON CONFLICT (task_id, number) DO UPDATE SET' : 'ON DUPLICATE KEY UPDATE',
    [...learnt, `adopted = CASE WHEN ${given('adopted')} = 1 THEN 1 ELSE bg_run.adopted END`].join(', '),
  ]
  await trx.executeQuery(
    CompiledQuery.raw(
      sql.join(' '),
      rows.flatMap(row => columns.map(column => row[column])),
    ),
  )
}

/** @returns false when the run's end is there already, or its loop is gone */
const endRun = async (
  db: Db,
  trx: Executor,
  owner: { host: string; epoch: string },
  { taskId, number, end }: LoopFacts['ends'][number],
  facts: readonly LoopFact[],
): Promise<boolean> => {
  const ended = await trx
    .updateTable('bg_run')
    .set(fromEnd(end))
    .where('task_id', '=', taskId)
    .where('number', '=', number)
    .where('outcome', 'is', null)
    .executeTakeFirst()
  if (ended.numUpdatedRows > 0n) {
    await noteBadEnd(db, trx, { taskId, number, end })
    await saveArtifacts(trx, taskId, number, end.artifacts)
    return true
  }
  const there = await trx
    .selectFrom('bg_run')
    .select('number')
    .where('task_id', '=', taskId)
    .where('number', '=', number)
    .executeTakeFirst()
  if (there) return false
  // Its start was never written, or the row was pruned with its task.
  const task = await trx.selectFrom('bg_task').select('id').where('id', '=', taskId).executeTakeFirst()
  if (!task) return false
  const startedAt = facts.find(fact => fact.taskId === taskId && fact.number === number)?.startedAt ?? end.endedAt
  await trx
    .insertInto('bg_run')
    .values({ task_id: taskId, number, ...owner, started_at: startedAt, attempt: 0, adopted: 0, ...fromEnd(end) })
    .execute()
  await noteBadEnd(db, trx, { taskId, number, end })
  await saveArtifacts(trx, taskId, number, end.artifacts)
  return true
}

const countEnds = async (db: Db, trx: Executor, host: string, ends: LoopFacts['ends']) => {
  if (ends.length === 0) return
  const ids = [...new Set(ends.map(({ taskId }) => taskId))]
  const rows = await trx.selectFrom(fromIndex(db, 'PRIMARY')).select(['id', 'action']).where('id', 'in', ids).execute()
  const actions = new Map(rows.map(({ id, action }) => [Number(id), action]))
  const ended = ends.flatMap(({ taskId, end: { kind, endedAt } }) => {
    const action = actions.get(taskId)
    return action === undefined ? [] : [{ action, outcome: kind, endedAt }]
  })
  await noteRunEnds(db, trx, ended, host)
}

const saveFact = async (db: Db, trx: Executor, owner: { host: string; epoch: string }, fact: LoopFact, now: number) => {
  const stopped = fact.state === 'stopped'
  const saved = await trx
    .updateTable(fromIndex(db, 'PRIMARY'))
    .set({
      number: fact.number,
      state: fact.state,
      reason: fromReason(stopped ? await withAsker(trx, fact) : fact.reason),
      run_at: fact.runAt,
      started_at: fact.startedAt,
      finished_at: fact.finishedAt,
      host: stopped ? null : owner.host,
      epoch: stopped ? null : owner.epoch,
      updated_at: now,
      ...(fact.content === undefined ? {} : { content: fact.content }),
    })
    .where('id', '=', fact.taskId)
    .where('number', '<=', fact.number)
    .where('exec_type', '=', 'FOREVER')
    .executeTakeFirst()
  if (stopped && saved.numUpdatedRows > 0n) await releaseSuccessors(db, trx, fact.taskId, now)
}

// The supervisor knows that it was to stop, the row knows who said so.
const withAsker = async (trx: Executor, fact: LoopFact): Promise<Reason | null> => {
  if (!fact.reason || fact.reason.by) return fact.reason
  const row = await trx.selectFrom('bg_task').select('reason').where('id', '=', fact.taskId).executeTakeFirst()
  const before = row?.reason ? (JSON.parse(row.reason) as Reason) : null
  const asked = before && (before.code === 'stopping' || before.code === 'stopped-by-wish' || before.code === 'replaced')
  return asked && before.by ? { ...fact.reason, by: before.by } : fact.reason
}

const byTask = <T extends { taskId: number; number: number }>(list: readonly T[]): T[] =>
  [...list].sort((a, b) => a.taskId - b.taskId || a.number - b.number)
