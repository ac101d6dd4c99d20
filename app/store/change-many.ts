import { CompiledQuery } from 'kysely'
import { wasCancelledWaiting } from '../task/cancelled-waiting.ts'
import { type EndedState, noteEnded } from './counters.ts'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { removeEnded } from './remove-ended.ts'
import { returnLocked } from './return-task.ts'
import { fromReason, toTask } from './rows.ts'
import { takeKeys } from './take-keys.ts'
import { type Executor, transact } from './transact.ts'
import { cancelLocked } from './wishes.ts'

// What the wishes do to one task, done to some hundred in one transaction. Those whose state does not allow it any more are left alone. Each may be
// repeated: what was changed is noted in bg_bulk_item in the same transaction. By that it is not done twice, can be undone, and is told on each page.

export interface ManyStep {
  /** The act whose part it is. */
  bulkId: number
  /** Who asked, as told with each task. */
  by: string
  now: number
}

export interface Changed {
  changed: number
  /** Left alone, since other tasks have their unique keys by now. */
  held: number
}

/** Loops that are down are to be kept up. */
export const startMany = (db: Db, ids: readonly number[], step: ManyStep): Promise<Changed> =>
  transact(db, async trx => {
    const changed = await start(db, trx, ids, step)
    await noteItems(db, trx, step.bulkId, changed.ids)
    return { changed: changed.ids.length, held: changed.held }
  })

/** Loops that are up are to go down, and stay down. */
export const stopMany = (db: Db, ids: readonly number[], step: ManyStep): Promise<Changed> =>
  transact(db, async trx => {
    const changed = await stop(db, trx, ids, step)
    await noteItems(db, trx, step.bulkId, changed)
    return { changed: changed.length, held: 0 }
  })

/** Loops that are wanted up get fresh processes. */
export const restartMany = (db: Db, ids: readonly number[], { bulkId, now }: ManyStep): Promise<Changed> =>
  transact(db, async trx => {
    const loops = (await lock(db, trx, ids)).filter(task => task.execType === 'FOREVER' && task.wanted === 'up').map(({ id }) => id)
    const done = new Set(await notedOf(trx, bulkId, loops))
    const fresh = loops.filter(id => !done.has(id))
    if (fresh.length > 0)
      await trx
        .updateTable(fromIndex(db, 'PRIMARY'))
        .set(task => ({ wish: task('wish', '+', 1), updated_at: now }))
        .where('id', 'in', fresh)
        .execute()
    await noteItems(db, trx, bulkId, fresh)
    return { changed: fresh.length, held: 0 }
  })

/** Tasks that wait are cancelled. */
export const cancelMany = (db: Db, ids: readonly number[], { bulkId, by, now }: ManyStep): Promise<Changed> =>
  transact(db, async trx => {
    const waiting = (await lock(db, trx, ids)).filter(task => task.execType === 'ONCE' && task.state === 'waiting')
    // With a key go others that wait for it.
    for (const task of waiting) if (task.uniqueKey !== null) await cancelLocked(db, trx, task, by, now)
    const plain = waiting.filter(task => task.uniqueKey === null).map(({ id }) => id)
    if (plain.length > 0) {
      await trx
        .updateTable(fromIndex(db, 'PRIMARY'))
        .set({
          ...{ state: 'cancelled', wanted: 'down', due: null, finished_at: now, updated_at: now },
          reason: fromReason({ code: 'cancelled', at: now, by }),
        })
        .where('id', 'in', plain)
        .execute()
      await noteEnded(db, trx, [{ state: 'cancelled', n: plain.length }], '', now)
    }
    await noteItems(
      db,
      trx,
      bulkId,
      waiting.map(({ id }) => id),
    )
    return { changed: waiting.length, held: 0 }
  })

/** Tasks that wait for their time are due now. */
export const runMany = (db: Db, ids: readonly number[], { bulkId, by, now }: ManyStep): Promise<Changed> =>
  transact(db, async trx => {
    if (ids.length === 0) return { changed: 0, held: 0 }
    const rows = await forUpdate(
      db,
      trx.selectFrom(fromIndex(db, 'PRIMARY')).select('id').where('id', 'in', inOrder(ids)).where('due', '=', 'later'),
    ).execute()
    const later = rows.map(({ id }) => Number(id))
    if (later.length > 0)
      await trx
        .updateTable(fromIndex(db, 'PRIMARY'))
        .set({ run_at: now, due: 'now', reason: fromReason({ code: 'added', at: now, by }), updated_at: now })
        .where('id', 'in', later)
        .execute()
    await noteItems(db, trx, bulkId, later)
    return { changed: later.length, held: 0 }
  })

/** Removes tasks that have ended, with their runs. @returns what was removed */
export const deleteMany = (db: Db, ids: readonly number[], now: number): Promise<{ id: number; number: number }[]> =>
  transact(db, async trx => {
    if (ids.length === 0) return []
    const rows = await forUpdate(
      db,
      trx
        .selectFrom(fromIndex(db, 'PRIMARY'))
        .select(['id', 'number', 'state', 'unique_key'])
        .where('id', 'in', inOrder(ids))
        .where('state', 'in', ['succeeded', 'failed', 'cancelled']),
    ).execute()
    const ended = rows.map(row => ({ ...row, id: Number(row.id), number: Number(row.number), state: row.state as EndedState }))
    await removeEnded(db, trx, ended, now)
    return ended.map(({ id, number }) => ({ id, number }))
  })

/**
 * Puts back what startMany, stopMany or cancelMany changed, as far as it still is so; either way the act has changed these no more.
 * @param ids of tasks that `of` has changed
 */
export const putBackMany = (
  db: Db,
  ids: readonly number[],
  { of, act, ...step }: ManyStep & { of: number; act: string },
): Promise<Changed> =>
  transact(db, async trx => {
    // Done once more after a break, the rest alone is still noted.
    const noted = await notedOf(trx, of, ids)
    let changed: { ids: readonly number[]; held: number } = { ids: [], held: 0 }
    if (act === 'stop') changed = await start(db, trx, noted, step)
    else if (act === 'start') changed = { ids: await stop(db, trx, noted, step), held: 0 }
    else if (act === 'cancellation') changed = await uncancel(db, trx, noted, step, `#${of}`)
    await forgetItems(db, trx, of, noted)
    await noteItems(db, trx, step.bulkId, changed.ids)
    return { changed: changed.ids.length, held: changed.held }
  })

const start = async (db: Db, trx: Executor, ids: readonly number[], { by, now }: ManyStep) => {
  const down = (await lock(db, trx, ids)).filter(task => task.execType === 'FOREVER' && task.wanted === 'down')
  const free = await takeKeys(
    trx,
    down.map(({ id, uniqueKey }) => ({ id, unique_key: uniqueKey })),
  )
  const stopped = down.filter(({ id, state }) => state === 'stopped' && free.includes(id)).map(({ id }) => id)
  const stopping = free.filter(id => !stopped.includes(id))
  await setLoops(db, trx, stopped, { wanted: 'up', reason: fromReason({ code: 'added', at: now, by }), updated_at: now })
  await setLoops(db, trx, stopping, { wanted: 'up', updated_at: now })
  return { ids: free, held: down.length - free.length }
}

const stop = async (db: Db, trx: Executor, ids: readonly number[], { by, now }: ManyStep): Promise<number[]> => {
  const up = (await lock(db, trx, ids)).filter(task => task.execType === 'FOREVER' && task.wanted === 'up')
  const reasonFor = (code: 'stopped-by-wish' | 'stopping') => fromReason({ code, at: now, by })
  const stopped = up.filter(({ state }) => state === 'stopped').map(({ id }) => id)
  const live = up.filter(({ state }) => state !== 'stopped').map(({ id }) => id)
  await setLoops(db, trx, stopped, { wanted: 'down', reason: reasonFor('stopped-by-wish'), updated_at: now })
  await setLoops(db, trx, live, { wanted: 'down', reason: reasonFor('stopping'), updated_at: now })
  return up.map(({ id }) => id)
}

/** Those that this act cancelled, and nobody touched since, wait again, for the time that they waited for. */
const uncancel = async (db: Db, trx: Executor, ids: readonly number[], { by, now }: ManyStep, cancelledBy: string) => {
  const ours = (await lock(db, trx, ids)).filter(task => wasCancelledWaiting(task) && task.reason?.by === cancelledBy)
  const free = await returnLocked(db, trx, ours, by, now)
  return { ids: free, held: ours.length - free.length }
}

const setLoops = async (
  db: Db,
  trx: Executor,
  ids: readonly number[],
  values: { wanted: 'up' | 'down'; reason?: string | null; updated_at: number },
): Promise<void> => {
  if (ids.length > 0) await trx.updateTable(fromIndex(db, 'PRIMARY')).set(values).where('id', 'in', ids).execute()
}

const lock = async (db: Db, trx: Executor, ids: readonly number[]) => {
  if (ids.length === 0) return []
  const rows = await forUpdate(db, trx.selectFrom(fromIndex(db, 'PRIMARY')).selectAll().where('id', 'in', inOrder(ids))).execute()
  return rows.map(toTask)
}

/** Everybody locks in the order of ids, so that two never wait for each other. */
const inOrder = (ids: readonly number[]) => ids.toSorted((a, b) => a - b)

const notedOf = async (trx: Executor, bulkId: number, ids: readonly number[]): Promise<number[]> => {
  if (ids.length === 0) return []
  const rows = await trx.selectFrom('bg_bulk_item').select('task_id').where('bulk_id', '=', bulkId).where('task_id', 'in', ids).execute()
  return rows.map(row => Number(row.task_id))
}

const noteItems = async (db: Db, trx: Executor, bulkId: number, ids: readonly number[]): Promise<void> => {
  if (ids.length === 0) return
  const verb = db.dialect === 'sqlite' ? 'INSERT OR IGNORE' : 'INSERT IGNORE'
  const values = ids.map(() => '(?, ?)').join(', ')
  await trx.executeQuery(
    CompiledQuery.raw(
      `${verb} INTO bg_bulk_item (bulk_id, task_id) VALUES ${values}`,
      ids.flatMap(id => [bulkId, id]),
    ),
  )
}

/** As a join, since only that takes a hint on MySQL: else it reads a small table as a whole, and waits for rows that others have locked. */
const forgetItems = async (db: Db, trx: Executor, bulkId: number, ids: readonly number[]): Promise<void> => {
  if (ids.length === 0) return
  const from = db.dialect === 'mysql' ? 'DELETE t FROM bg_bulk_item AS t FORCE INDEX (PRIMARY)' : 'DELETE FROM bg_bulk_item'
  const sql = `${from} WHERE bulk_id = ? AND task_id IN (${ids.map(() => '?').join(', ')})`
  await trx.executeQuery(CompiledQuery.raw(sql, [bulkId, ...ids]))
}
