import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import type { CounterRow } from './tables.ts'
import { type Executor, transact } from './transact.ts'

interface Step {
  state: string
  n: number
}

/** Counts tasks that became final, in the transaction in which they do. `host` is '' when no supervisor did it. */
export const noteEnded = (db: Db, executor: Executor, steps: readonly Step[], host: string, now: number): Promise<void> =>
  add(db, executor, 'ended', steps, host, dayOf(now))

/** Counts final tasks that are none any more: deleted, or waiting again. */
export const noteRemoved = (db: Db, executor: Executor, steps: readonly Step[]): Promise<void> => add(db, executor, 'removed', steps, '', 0)

const endedStates = ['succeeded', 'failed', 'cancelled'] as const
export type EndedState = (typeof endedStates)[number]

/**
 * Adds up rows of days before that moment in one for all of them: a row for each host and day would be kept for ever, and every sum reads all.
 * What is added up to is the same at any moment. To be repeated until it returns 0. @param limit most rows of a state at once @returns how many
 */
export const rollUpCounters = async (db: Db, before: number, limit: number): Promise<number> => {
  let rows = 0
  for (const state of endedStates) rows += await rollUpState(db, state, dayOf(before), limit)
  return rows
}

/** Final tasks that are there, without counting them. */
export const presentFinal = async (executor: Executor): Promise<Record<EndedState, number>> => {
  const sum = await sums(executor)
  const present = (state: EndedState) => Math.max(0, sum('ended', state) - sum('removed', state))
  return { succeeded: present('succeeded'), failed: present('failed'), cancelled: present('cancelled') }
}

/** How often a task became final, also of those that are gone or were run again. */
export const endedEver = async (executor: Executor): Promise<Record<EndedState, number>> => {
  const sum = await sums(executor)
  return { succeeded: sum('ended', 'succeeded'), failed: sum('ended', 'failed'), cancelled: sum('ended', 'cancelled') }
}

const sums = async (executor: Executor) => {
  const rows = await executor
    .selectFrom('bg_counter')
    .select(({ fn }) => ['name', 'state', fn.sum<number>('n').as('n')])
    .groupBy(['name', 'state'])
    .execute()
  return (name: CounterRow['name'], state: EndedState) => Number(rows.find(row => row.name === name && row.state === state)?.n ?? 0)
}

const rollUpState = (db: Db, state: EndedState, beforeDay: number, limit: number): Promise<number> =>
  transact(db, async trx => {
    const old = await forUpdate(
      db,
      trx
        .selectFrom('bg_counter')
        .select(['day', 'host', 'n'])
        .where('name', '=', 'ended')
        .where('state', '=', state)
        .where('day', '>', rolledUp)
        .where('day', '<', beforeDay)
        .orderBy('day')
        .orderBy('host')
        .limit(limit),
    ).execute()
    for (const { day, host } of old)
      await trx
        .deleteFrom('bg_counter')
        .where('name', '=', 'ended')
        .where('state', '=', state)
        .where('day', '=', day)
        .where('host', '=', host)
        .execute()
    const n = old.reduce((sum, row) => sum + Number(row.n), 0)
    await add(db, trx, 'ended', [{ state, n }], '', rolledUp)
    return old.length
  })

/** The day of rows that stand for all before. */
const rolledUp = 0

const dayOf = (at: number) => Math.floor(at / 86_400_000)

const add = async (db: Db, executor: Executor, name: CounterRow['name'], steps: readonly Step[], host: string, day: number) => {
  const summed = new Map<string, number>()
  for (const { state, n } of steps) if (n !== 0) summed.set(state, (summed.get(state) ?? 0) + n)
  if (summed.size === 0) return
  // In one order everywhere, so that two transactions never wait for each other.
  const rows = [...summed].sort(([a], [b]) => (a < b ? -1 : 1))
  const upsert =
    db.dialect === 'sqlite'
      ? 'ON CONFLICT (name, state, day, host) DO UPDATE SET n = n + excluded.n'
      : 'ON DUPLICATE KEY UPDATE n = n + VALUES(n)'
  const sql = `INSERT INTO bg_counter (name, state, day, host, n) VALUES ${rows.map(() => '(?, ?, ?, ?, ?)').join(', ')} ${upsert}`
  await executor.executeQuery(
    CompiledQuery.raw(
      sql,
      rows.flatMap(([state, n]) => [name, state, day, host, n]),
    ),
  )
}
