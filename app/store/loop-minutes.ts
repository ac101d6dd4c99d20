import { CompiledQuery } from 'kysely'
import { sampleSpans } from '../task/sample.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

// What a page of loops reads of their samples: one statement each, however many loops it has.

/** What a loop did in one minute. */
export interface LoopMinute {
  /** When it began: milliseconds since 1970. */
  at: number
  iterations: number
  errors: number
  cpuMs: number
  /** null: no process was there at its end. */
  memoryBytes: number | null
}

/** The minutes of these loops that began at `from` (milliseconds since 1970) or later, oldest first. Those without any are not in it. */
export const listMinutesOf = async (db: Db, taskIds: readonly number[], from: number): Promise<ReadonlyMap<number, LoopMinute[]>> => {
  if (taskIds.length === 0) return new Map()
  const rows = await withRetries(() =>
    db.kysely
      .selectFrom('bg_sample')
      .select(['task_id', 'at', 'iterations', 'errors', 'cpu_ms', 'memory_bytes'])
      .where('task_id', 'in', taskIds)
      .where('span_ms', '=', sampleSpans[0])
      .where('at', '>=', from)
      .execute(),
  )
  const minutes = Map.groupBy(rows, row => Number(row.task_id))
  return new Map([...minutes].map(([id, own]) => [id, own.map(toMinute).sort((a, b) => a.at - b.at)]))
}

/** The span of time in which each of these loops last finished an iteration that did not throw: when it began, as far back as samples are kept. */
export const lastSuccessesOf = async (db: Db, taskIds: readonly number[]): Promise<ReadonlyMap<number, number>> => {
  if (taskIds.length === 0) return new Map()
  const newest =
    'SELECT task_id, span_ms, at FROM bg_sample WHERE task_id = ? AND span_ms = ? AND iterations > errors ORDER BY at DESC LIMIT 1'
  const asked = taskIds.flatMap(id => sampleSpans.map(span => [id, span]))
  const sql = asked.map((_, index) => `SELECT * FROM (${newest}) AS s${index}`).join(' UNION ALL ')
  const { rows } = await withRetries(() =>
    db.kysely.executeQuery<Record<'task_id' | 'span_ms' | 'at', unknown>>(CompiledQuery.raw(sql, asked.flat())),
  )
  const last = new Map<number, number>()
  for (const row of rows) {
    const id = Number(row.task_id)
    // The shortest span tells it best; a longer one tells what the shorter ones have forgotten.
    last.set(id, Math.max(last.get(id) ?? 0, Number(row.at)))
  }
  return last
}

const toMinute = (row: Record<'at' | 'iterations' | 'errors' | 'cpu_ms' | 'memory_bytes', unknown>): LoopMinute => ({
  at: Number(row.at),
  iterations: Number(row.iterations),
  errors: Number(row.errors),
  cpuMs: Number(row.cpu_ms),
  memoryBytes: row.memory_bytes === null ? null : Number(row.memory_bytes),
})
