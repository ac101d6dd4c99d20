import { createHash } from 'node:crypto'
import { CompiledQuery, type Selectable } from 'kysely'
import { errorPattern, errorSample } from '../task/error-pattern.ts'
import type { Outcome } from '../task/outcome.ts'
import type { Db } from './database.ts'
import { errorsFromIndex, fromIndex } from './from-index.ts'
import type { ErrorRow } from './tables.ts'
import { type Executor, withRetries } from './transact.ts'

/** Failed tasks of one action whose last runs failed by the same error. Times are milliseconds since 1970. */
export interface TaskError {
  key: string
  action: string
  /** As the last of them said it. */
  sample: string
  /** Tasks that are failed by it now. */
  count: number
  firstAt: number
  lastAt: number
  lastTask: number
}

/** A task that has just failed. */
export interface Failed {
  key: string
  action: string
  sample: string
  taskId: number
  at: number
}

/** The error of a run, as it is stored with the task that failed by it. */
export const errorOf = (action: string, outcome: Outcome): Pick<Failed, 'key' | 'action' | 'sample'> => {
  const key = createHash('sha256')
    .update(`${action}\n${errorPattern(outcome)}`)
    .digest('hex')
    .slice(0, 32)
  return { key, action, sample: errorSample(outcome) }
}

/** Counts tasks that failed, in the transaction in which they do. */
export const noteFailed = async (db: Db, executor: Executor, failed: readonly Failed[]): Promise<void> => {
  const groups = new Map<string, Failed & { n: number; firstAt: number }>()
  for (const one of failed) {
    const { n = 0, firstAt = one.at, at = one.at } = groups.get(one.key) ?? {}
    groups.set(one.key, { ...one, n: n + 1, firstAt: Math.min(firstAt, one.at), at: Math.max(at, one.at) })
  }
  if (groups.size === 0) return
  // In one order everywhere, so that two transactions never wait for each other.
  const rows = [...groups.values()].sort(byKey)
  const given = (column: string) => (db.dialect === 'sqlite' ? `excluded.${column}` : `VALUES(${column})`)
  const changes = ['sample', 'last_at', 'last_task'].map(column => `${column} = ${given(column)}`)
  const upsert = db.dialect === 'sqlite' ? 'ON CONFLICT (error_key) DO UPDATE SET' : 'ON DUPLICATE KEY UPDATE'
  await executor.executeQuery(
    CompiledQuery.raw(
      `INSERT INTO bg_error (error_key, action, sample, n, first_at, last_at, last_task) VALUES ${rows.map(() => '(?, ?, ?, ?, ?, ?, ?)').join(', ')} ` +
        `${upsert} n = n + ${given('n')}, ${changes.join(', ')}`,
      rows.flatMap(({ key, action, sample, n, firstAt, at, taskId }) => [key, action, sample, n, firstAt, at, taskId]),
    ),
  )
}

/**
 * Takes tasks out of the counts, in the transaction that deletes them or lets them run again, and before it does. They are locked there.
 * @param ids of tasks, failed or not
 */
export const forgetFailed = async (db: Db, executor: Executor, ids: readonly number[]): Promise<void> => {
  if (ids.length === 0) return
  const rows = await executor.selectFrom(fromIndex(db, 'PRIMARY')).select('error_key').where('id', 'in', ids).execute()
  const counts = new Map<string, number>()
  for (const { error_key: key } of rows) if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1)
  const groups = [...counts].map(([key, n]) => ({ key, n })).sort(byKey)
  if (groups.length === 0) return
  for (const { key, n } of groups) {
    await executor
      .updateTable('bg_error')
      .set(error => ({ n: error('n', '-', n) }))
      .where('error_key', '=', key)
      .execute()
  }
  await executor
    .deleteFrom('bg_error')
    .where(
      'error_key',
      'in',
      groups.map(({ key }) => key),
    )
    .where('n', '<=', 0)
    .execute()
  await executor.updateTable(fromIndex(db, 'PRIMARY')).set({ error_key: null }).where('id', 'in', ids).execute()
}

/** The one met last first. @param page.before of the last one seen */
export const listErrors = (
  db: Db,
  page: { limit: number; action?: string; before?: { lastAt: number; key: string } },
): Promise<TaskError[]> =>
  withRetries(async () => {
    const { lastAt, key } = page.before ?? { lastAt: Number.MAX_SAFE_INTEGER, key: '' }
    let rows = db.kysely.selectFrom(errorsFromIndex(db, page.action === undefined ? 'bg_error_last' : 'bg_error_action')).selectAll()
    if (page.action !== undefined) rows = rows.where('action', '=', page.action)
    rows = rows.where('last_at', '<=', lastAt)
    if (page.before) rows = rows.where(error => error.or([error('last_at', '<', lastAt), error('error_key', '<', key)]))
    return (await rows.orderBy('last_at', 'desc').orderBy('error_key', 'desc').limit(page.limit).execute()).map(toError)
  })

export const findError = (db: Db, key: string): Promise<TaskError | null> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_error').selectAll().where('error_key', '=', key).executeTakeFirst()
    return row ? toError(row) : null
  })

const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : 1)

const toError = (row: Selectable<ErrorRow>): TaskError => ({
  key: row.error_key,
  action: row.action,
  sample: row.sample,
  count: Number(row.n),
  firstAt: Number(row.first_at),
  lastAt: Number(row.last_at),
  lastTask: Number(row.last_task),
})
