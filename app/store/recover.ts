import { CompiledQuery } from 'kysely'
import { noteRemoved } from './counters.ts'
import type { Db } from './database.ts'
import { forgetFailed } from './errors.ts'
import { forUpdate } from './for-update.ts'
import { fromIndex } from './from-index.ts'
import { removeEnded } from './remove-ended.ts'
import { takeKeys } from './take-keys.ts'
import { transact, withRetries } from './transact.ts'
import { waitsAgain } from './waits-again.ts'

/** Which failed tasks. All that is given must hold; nothing given: all of them. */
export interface FailedFilter {
  action?: string
  type?: string
  creator?: string
  /** Key of the error by which they failed. */
  error?: string
}

/** What is not a person's to choose. */
export interface FailedBounds {
  /** Only those that had ended by then (milliseconds since 1970): what fails again meanwhile is left alone. */
  failedBefore: number
  /** Tasks of this action are left alone. */
  without?: string
}

/** Rows read by one statement. */
const readAtOnce = 2_000
/** While somebody waits for a page: no statement takes much of the time that there is. */
const countAtOnce = 500

export interface FailedSlice {
  ids: number[]
  /** What to give as `after` for the next slice; null when there is none. */
  next: number | null
}

/**
 * Failed tasks that the filter lets through, oldest first, a slice of the table at a time: a slice may be empty and another follow.
 */
export const sliceFailed = (
  db: Db,
  filter: FailedFilter,
  slice: FailedBounds & { after: number | null; atOnce?: number },
): Promise<FailedSlice> =>
  withRetries(async () => {
    const lead = leads.find(name => filter[name] !== undefined)
    const from = db.dialect === 'mysql' ? `bg_task FORCE INDEX (${lead ? indexOf[lead] : 'bg_task_state'})` : 'bg_task'
    const atOnce = slice.atOnce ?? readAtOnce
    const { rows } = await db.kysely.executeQuery<Record<(typeof leads)[number] | 'id' | 'finishedAt', unknown>>(
      CompiledQuery.raw(
        `SELECT id, action, type, creator, error_key AS error, finished_at AS finishedAt FROM ${from} ` +
          `WHERE ${lead ? `${columnOf[lead]} = ? AND ` : ''}state = 'failed' AND id > ? ORDER BY id LIMIT ${atOnce}`,
        [...(lead ? [filter[lead]] : []), slice.after ?? 0],
      ),
    )
    const fits = rows.filter(
      row =>
        Number(row.finishedAt) <= slice.failedBefore &&
        row.action !== slice.without &&
        leads.every(name => filter[name] === undefined || row[name] === filter[name]),
    )
    return { ids: fits.map(({ id }) => Number(id)), next: rows.length < atOnce ? null : Number(rows.at(-1)!.id) }
  })

/** How many there are, or at least so many when more than `readAtMost` rows would have to be read, or reading took longer than `withinMs`. */
export const countFailed = async (
  db: Db,
  filter: FailedFilter,
  { readAtMost = 100_000, withinMs = Number.POSITIVE_INFINITY, ...bounds }: FailedBounds & { readAtMost?: number; withinMs?: number },
): Promise<{ count: number; isAll: boolean; first: number[] }> => {
  const beganAt = performance.now()
  let count = 0
  const first: number[] = []
  let after: number | null = null
  for (let read = 0; read < readAtMost; read += countAtOnce) {
    const slice: FailedSlice = await sliceFailed(db, filter, { after, atOnce: countAtOnce, ...bounds })
    count += slice.ids.length
    first.push(...slice.ids.slice(0, 5 - first.length))
    if (slice.next === null) return { count, isAll: true, first }
    after = slice.next
    if (count > 0 && performance.now() - beganAt > withinMs) break
  }
  return { count, isAll: false, first }
}

/**
 * Failed tasks wait again, with all their tries, due now; those that are not failed any more are left alone. May be repeated.
 * @returns how many do; `held`: left failed, since another task has their unique key by now
 */
export const retryFailed = (
  db: Db,
  ids: readonly number[],
  { by, now, failedBefore }: { by: string; now: number; failedBefore: number },
): Promise<{ retried: number; held: number }> =>
  transact(db, async trx => {
    const rows = await lockFailed(db, trx, ids, failedBefore)
    const free = await takeKeys(trx, rows)
    if (free.length > 0) {
      await forgetFailed(db, trx, free)
      await trx.updateTable(fromIndex(db, 'PRIMARY')).set(waitsAgain(by, now)).where('id', 'in', free).execute()
      await noteRemoved(db, trx, [{ state: 'failed', n: free.length }])
    }
    return { retried: free.length, held: rows.length - free.length }
  })

/** Removes failed tasks with their runs; those that are not failed any more are left alone. May be repeated. @returns what was removed */
export const discardFailed = (
  db: Db,
  ids: readonly number[],
  { failedBefore, now }: { failedBefore: number; now: number },
): Promise<{ id: number; number: number }[]> =>
  transact(db, async trx => {
    const rows = await lockFailed(db, trx, ids, failedBefore)
    await removeEnded(
      db,
      trx,
      rows.map(row => ({ ...row, state: 'failed' as const })),
      now,
    )
    return rows.map(({ id, number }) => ({ id, number: Number(number) }))
  })

const lockFailed = async (db: Db, trx: Parameters<Parameters<typeof transact>[1]>[0], ids: readonly number[], failedBefore: number) => {
  if (ids.length === 0) return []
  const rows = await forUpdate(
    db,
    trx
      .selectFrom(fromIndex(db, 'PRIMARY'))
      .select(['id', 'number', 'unique_key'])
      // Everybody locks in the order of ids, so that two never wait for each other.
      .where(
        'id',
        'in',
        ids.toSorted((a, b) => a - b),
      )
      .where('state', '=', 'failed')
      .where('finished_at', '<=', failedBefore),
  ).execute()
  return rows.map(row => ({ ...row, id: Number(row.id) }))
}

/** The index of the first one given is read; each is followed by the state. */
const leads = ['error', 'action', 'creator', 'type'] as const
const columnOf = { error: 'error_key', action: 'action', creator: 'creator', type: 'type' } as const
const indexOf = { error: 'bg_task_error', action: 'bg_task_action', creator: 'bg_task_creator', type: 'bg_task_type' } as const
