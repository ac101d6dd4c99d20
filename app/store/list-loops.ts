import { sql } from 'kysely'
import type { LoopState, Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import { toTask } from './rows.ts'
import { withRetries } from './transact.ts'

/** Loops that are wanted up, or are not down yet; without those that still wait for the end of one they replace. */
export const listLoops = (db: Db): Promise<Task[]> =>
  withRetries(async () => {
    // Loops that are down for good may be many, and no part of this reads them.
    const wantedUp = db.kysely
      .selectFrom('bg_task')
      .selectAll()
      .where('exec_type', '=', sql.lit('FOREVER'))
      .where('wanted', '=', 'up')
      .where('after_id', 'is', null)
    const goingDown = db.kysely
      .selectFrom(fromIndex(db, 'bg_task_state'))
      .selectAll()
      .where('state', 'in', liveStates)
      .where('exec_type', '=', 'FOREVER')
      .where('wanted', '=', 'down')
    const rows = [...(await wantedUp.execute()), ...(await goingDown.execute())]
    const byId = new Map(rows.map(row => [Number(row.id), row]))
    return [...byId.values()].sort((a, b) => Number(a.id) - Number(b.id)).map(toTask)
  })

/** Those of loops that are not down yet. */
export const liveStates: LoopState[] = ['starting', 'running', 'stalled', 'backing-off', 'tripped', 'stopping']
