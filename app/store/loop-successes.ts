import { CompiledQuery } from 'kysely'
import type { Db } from './database.ts'
import { transact } from './transact.ts'

/** When a loop last did what it should: milliseconds since 1970. */
export interface LoopSuccess {
  taskId: number
  at: number
}

/** Keeps the later of what is there and what is given. May be repeated; of a loop that is gone nothing is kept. */
export const noteLoopSuccesses = async (db: Db, successes: readonly LoopSuccess[]): Promise<void> => {
  const ordered = [...successes].sort((a, b) => a.taskId - b.taskId)
  for (let begin = 0; begin < ordered.length; begin += atOnce) {
    const some = ordered.slice(begin, begin + atOnce)
    await transact(db, async trx => {
      const ids = some.map(({ taskId }) => taskId)
      const there = new Set((await trx.selectFrom('bg_task').select('id').where('id', 'in', ids).execute()).map(({ id }) => Number(id)))
      const rows = some.filter(({ taskId }) => there.has(taskId))
      if (rows.length === 0) return
      const upsert =
        db.dialect === 'sqlite'
          ? 'ON CONFLICT (task_id) DO UPDATE SET at = MAX(at, excluded.at)'
          : 'ON DUPLICATE KEY UPDATE at = GREATEST(at, VALUES(at))'
      const values = rows.map(() => '(?, ?)').join(', ')
      await trx.executeQuery(
        CompiledQuery.raw(
          `INSERT INTO bg_loop_success (task_id, at) VALUES ${values} ${upsert}`,
          rows.flatMap(({ taskId, at }) => [taskId, at]),
        ),
      )
    })
  }
}

const atOnce = 200
