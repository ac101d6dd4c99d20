import { CompiledQuery } from 'kysely'
import { isFinal, loopStates, onceStates, type TaskState } from '../task/task.ts'
import { presentFinal } from './counters.ts'
import type { Db } from './database.ts'
import { withRetries } from './transact.ts'

/** A count that is this great means "more than 10,000": counting further would take as long as there are rows. */
export const countCap = 10_001

/** Tasks in each state. What is final is counted when it becomes so; the rest is counted up to countCap. */
export const countTasks = (db: Db): Promise<Record<TaskState, number>> =>
  withRetries(async () => {
    const counts = await counted(
      db,
      open.map(state => ({ name: state, where: 'state = ?', parameters: [state] })),
    )
    return { ...counts, ...(await presentFinal(db.kysely)) } as Record<TaskState, number>
  })

/** ONCE tasks that succeeded or failed since that moment (milliseconds since 1970), each up to countCap. */
export const countEnded = (db: Db, since: number): Promise<{ succeeded: number; failed: number }> =>
  withRetries(async () => {
    const where = 'state = ? AND finished_at >= ?'
    const counts = await counted(
      db,
      ['succeeded', 'failed'].map(state => ({ name: state, where, parameters: [state, since] })),
    )
    return counts as { succeeded: number; failed: number }
  })

const open = [...new Set<TaskState>([...onceStates, ...loopStates])].filter(state => !isFinal(state))

const counted = async (db: Db, questions: { name: string; where: string; parameters: unknown[] }[]): Promise<Record<string, number>> => {
  const sql = questions
    .map(
      ({ name, where }) =>
        `SELECT '${name}' AS name, COUNT(*) AS n FROM (SELECT 1 FROM bg_task WHERE ${where} LIMIT ${countCap}) AS counted`,
    )
    .join(' UNION ALL ')
  const { rows } = await db.kysely.executeQuery<{ name: string; n: number }>(
    CompiledQuery.raw(
      sql,
      questions.flatMap(({ parameters }) => parameters),
    ),
  )
  return Object.fromEntries(rows.map(row => [row.name, Number(row.n)]))
}
