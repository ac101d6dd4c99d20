import { CompiledQuery } from 'kysely'
import type { Run } from '../task/run.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** When a run was, and how it ended; without its texts, which may be long. */
export type Life = Pick<Run, 'number' | 'startedAt' | 'endedAt' | 'outcome'>

/** The newest runs of several tasks, the ones under way included, by one statement: `limit` of each, newest first. Those without a run are not in it. */
export const listLivesOf = async (db: Db, taskIds: readonly number[], limit: number): Promise<ReadonlyMap<number, Life[]>> => {
  if (taskIds.length === 0) return new Map()
  const newest = `SELECT task_id, number, started_at, ended_at, outcome FROM bg_run WHERE task_id = ? ORDER BY number DESC LIMIT ${limit}`
  const sql = taskIds.map((_, index) => `SELECT * FROM (${newest}) AS l${index}`).join(' UNION ALL ')
  const { rows } = await withRetries(() => db.kysely.executeQuery<LifeRow>(CompiledQuery.raw(sql, [...taskIds])))
  const lives = Map.groupBy(rows, row => Number(row.task_id))
  return new Map([...lives].map(([id, own]) => [id, own.map(toLife).sort((a, b) => b.number - a.number)]))
}

type LifeRow = Record<'task_id' | 'number' | 'started_at' | 'ended_at' | 'outcome', unknown>

const toLife = (row: LifeRow): Life => ({
  number: Number(row.number),
  startedAt: Number(row.started_at),
  endedAt: row.ended_at === null ? null : Number(row.ended_at),
  outcome: row.outcome as Life['outcome'],
})
