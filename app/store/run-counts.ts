import { createHash } from 'node:crypto'
import { CompiledQuery } from 'kysely'
import type { OutcomeKind } from '../task/outcome.ts'
import type { Db } from './database.ts'
import { type Executor, withRetries } from './transact.ts'

/** A run whose end has just been recorded. Times are milliseconds since 1970. */
export interface EndedRun {
  action: string
  outcome: OutcomeKind
  endedAt: number
}

/** How many runs of an action ever ended so, also of tasks that are gone; never less than before. */
export interface RunCount {
  action: string
  outcome: OutcomeKind
  n: number
  /** When the last of them ended. */
  lastAt: number
}

/** Counts runs that ended, in the transaction that records their ends: neither a death nor a repetition makes a count wrong. @param host of who records them */
export const noteRunEnds = async (db: Db, executor: Executor, ended: readonly EndedRun[], host: string): Promise<void> => {
  const groups = new Map<string, RunCount>()
  for (const { action, outcome, endedAt } of ended) {
    const key = `${action} ${outcome}`
    const { n = 0, lastAt = endedAt } = groups.get(key) ?? {}
    groups.set(key, { action, outcome, n: n + 1, lastAt: Math.max(lastAt, endedAt) })
  }
  if (groups.size === 0) return
  // In one order everywhere, so that two transactions never wait for each other.
  const rows = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  const slot = slotOf(host)
  const upsert =
    db.dialect === 'sqlite'
      ? 'ON CONFLICT (action, outcome, slot) DO UPDATE SET n = n + excluded.n, last_at = MAX(last_at, excluded.last_at)'
      : 'ON DUPLICATE KEY UPDATE n = n + VALUES(n), last_at = GREATEST(last_at, VALUES(last_at))'
  await executor.executeQuery(
    CompiledQuery.raw(
      `INSERT INTO bg_run_count (action, outcome, slot, n, last_at) VALUES ${rows.map(() => '(?, ?, ?, ?, ?)').join(', ')} ${upsert}`,
      rows.flatMap(({ action, outcome, n, lastAt }) => [action, outcome, slot, n, lastAt]),
    ),
  )
}

/** By action and outcome. @param most so many, of the first actions by name */
export const listRunCounts = (db: Db, most: number): Promise<RunCount[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_run_count')
      .select(({ fn }) => ['action', 'outcome', fn.sum<number>('n').as('n'), fn.max('last_at').as('last_at')])
      .groupBy(['action', 'outcome'])
      .orderBy('action')
      .orderBy('outcome')
      .limit(most)
      .execute()
    return rows.map(row => ({ action: row.action, outcome: row.outcome as OutcomeKind, n: Number(row.n), lastAt: Number(row.last_at) }))
  })

const slots = 64

// Hosts count in rows of their own, mostly, so that they do not wait for one another; and however many hosts come and go, the rows stay few.
const slotOf = (host: string): number => createHash('sha256').update(host).digest().readUInt32BE() % slots
