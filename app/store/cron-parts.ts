import type { Insertable, Selectable } from 'kysely'
import { underCronLock } from './cron.ts'
import type { Db } from './database.ts'
import type { CronPartRow } from './tables.ts'
import { withRetries } from './transact.ts'

/** A hook or a queue, as cron last came to it. Times are milliseconds since 1970. */
export interface CronPart {
  kind: 'hook' | 'queue'
  name: string
  module: string
  taskId: number
  number: number
  startedAt: number
  endedAt: number | null
  /** null: under way, or its process died. */
  outcome: 'done' | 'failed' | 'interrupted' | null
  error: string | null
  done: number
  failed: number
  setAside: number
  /** When it last began and then ended well. */
  goodAt: number | null
}

export const listParts = (db: Db): Promise<CronPart[]> =>
  withRetries(async () => (await db.kysely.selectFrom('bg_cron_part').selectAll().execute()).map(toPart))

/** @throws CronLockLost, as all that writes here */
export const beginPart = (
  db: Db,
  token: string,
  part: Pick<CronPart, 'kind' | 'name' | 'module' | 'taskId' | 'number' | 'startedAt'>,
): Promise<void> =>
  underCronLock(db, token, async trx => {
    const { kind, name, module, taskId, number, startedAt } = part
    const begun = { module, task_id: taskId, number, started_at: startedAt, ended_at: null, outcome: null, error: null }
    const fresh = { ...begun, done: 0, failed: 0, set_aside: 0 }
    const row: Insertable<CronPartRow> = { kind, name, ...fresh }
    const insert = trx.insertInto('bg_cron_part').values(row)
    await (db.dialect === 'sqlite'
      ? insert.onConflict(conflict => conflict.columns(['kind', 'name']).doUpdateSet(fresh))
      : insert.onDuplicateKeyUpdate(fresh)
    ).execute()
  })

export const endPart = (
  db: Db,
  token: string,
  { kind, name, taskId, number }: Pick<CronPart, 'kind' | 'name' | 'taskId' | 'number'>,
  end: { endedAt: number; outcome: CronPart['outcome']; error: string | null; done?: number; failed?: number; setAside?: number },
): Promise<void> =>
  underCronLock(db, token, async trx => {
    const { endedAt, outcome, error, done = 0, failed = 0, setAside = 0 } = end
    await trx
      .updateTable('bg_cron_part')
      .set({ ended_at: endedAt, outcome, error, done, failed, set_aside: setAside })
      .$if(outcome === 'done', update => update.set(row => ({ good_at: row('started_at', '+', 0) })))
      .where('kind', '=', kind)
      .where('name', '=', name)
      // A run that was thought dead says nothing about the one that came after it.
      .where('task_id', '=', taskId)
      .where('number', '=', number)
      .execute()
  })

/** Those that no module has any more are forgotten. */
export const keepParts = (db: Db, token: string, known: readonly Pick<CronPart, 'kind' | 'name'>[]): Promise<void> =>
  underCronLock(db, token, async trx => {
    for (const { kind, name } of await trx.selectFrom('bg_cron_part').select(['kind', 'name']).execute()) {
      if (known.some(part => part.kind === kind && part.name === name)) continue
      await trx.deleteFrom('bg_cron_part').where('kind', '=', kind).where('name', '=', name).execute()
    }
  })

const toPart = (row: Selectable<CronPartRow>): CronPart => ({
  kind: row.kind,
  name: row.name,
  module: row.module,
  taskId: Number(row.task_id),
  number: Number(row.number),
  startedAt: Number(row.started_at),
  endedAt: row.ended_at === null ? null : Number(row.ended_at),
  outcome: row.outcome,
  error: row.error,
  done: Number(row.done),
  failed: Number(row.failed),
  setAside: Number(row.set_aside),
  goodAt: row.good_at === null ? null : Number(row.good_at),
})
