import { createHash } from 'node:crypto'
import { CompiledQuery } from 'kysely'
import type { RunEnd } from '../runs/outcome-file.ts'
import { errorPattern, errorSample } from '../task/error-pattern.ts'
import { isBadEnd } from '../task/outcome.ts'
import type { ThrownError } from '../task/thrown-errors.ts'
import type { Db } from './database.ts'
import { type Executor, transact, withRetries } from './transact.ts'

/** What ended lives of a loop, or iterations, with the same error. Times are milliseconds since 1970. */
export interface LoopError {
  /** As the last of them said it. */
  sample: string
  count: number
  firstAt: number
  lastAt: number
  /** The last run that it was met in. */
  lastNumber: number
  /** Whether its text is in the output of that run. */
  isPrinted: boolean
}

/** What iterations of one run have thrown until now. */
export interface ThrownInRun {
  taskId: number
  number: number
  errors: readonly ThrownError[]
}

/** Of a loop no more are kept: the ones met last. */
export const mostLoopErrors = 100

/** The one met last first. */
export const listLoopErrors = (db: Db, taskId: number, limit: number): Promise<LoopError[]> =>
  withRetries(async () => {
    const rows = await db.kysely
      .selectFrom('bg_loop_error')
      .selectAll()
      .where('task_id', '=', taskId)
      .orderBy('last_at', 'desc')
      .limit(limit)
      .execute()
    return rows.map(row => ({
      sample: row.sample,
      count: Number(row.n),
      firstAt: Number(row.first_at),
      lastAt: Number(row.last_at),
      lastNumber: Number(row.last_number),
      isPrinted: Number(row.printed) === 1,
    }))
  })

/** Counts what iterations threw. May be repeated, by another supervisor too: of each run only what is new is added. */
export const noteThrownErrors = async (db: Db, thrown: readonly ThrownInRun[]): Promise<void> => {
  const runs = thrown.filter(({ errors }) => errors.length > 0).sort((a, b) => a.taskId - b.taskId || a.number - b.number)
  for (let first = 0; first < runs.length; first += runsAtOnce) {
    await transact(db, async trx => {
      const some = runs.slice(first, first + runsAtOnce)
      const ids = [...new Set(some.map(({ taskId }) => taskId))]
      const there = await trx.selectFrom('bg_task').select('id').where('id', 'in', ids).execute()
      // What was deleted meanwhile has no errors any more.
      const live = new Set(there.map(({ id }) => Number(id)))
      for (const { taskId, number, errors } of some) {
        if (!live.has(taskId)) continue
        const rows = errors.map(({ pattern, sample, n, firstAt, lastAt }) => ({
          taskId,
          number,
          pattern,
          sample,
          n,
          told: n,
          firstAt,
          lastAt,
          printed: 1,
        }))
        await upsert(db, trx, rows, addNew)
      }
      for (const taskId of live) await forgetOldest(trx, taskId)
    })
  }
}

/** Counts the end of a life, in the transaction that records it and only then. */
export const noteBadEnd = async (
  db: Db,
  trx: Executor,
  { taskId, number, end }: { taskId: number; number: number; end: RunEnd },
): Promise<void> => {
  if (!isBadEnd(end.kind) || end.recycled) return
  const at = end.endedAt
  const row = { taskId, number, pattern: errorPattern(end), sample: errorSample(end), n: 1, told: 0, firstAt: at, lastAt: at }
  await upsert(db, trx, [{ ...row, printed: end.kind === 'failed' ? 1 : 0 }], addOne)
  await forgetOldest(trx, taskId)
}

const runsAtOnce = 50

interface Row extends ThrownError {
  taskId: number
  number: number
  /** How often iterations of the run have told of it. */
  told: number
  printed: number
}

const upsert = async (db: Db, trx: Executor, rows: readonly Row[], add: (given: Given) => string[]): Promise<void> => {
  const given: Given = column => (db.dialect === 'sqlite' ? `excluded.${column}` : `VALUES(${column})`)
  const verb = db.dialect === 'sqlite' ? 'ON CONFLICT (task_id, error_key) DO UPDATE SET' : 'ON DUPLICATE KEY UPDATE'
  const newest = ['sample', 'printed'].map(
    column => `${column} = CASE WHEN ${given('last_at')} >= last_at THEN ${given(column)} ELSE ${column} END`,
  )
  // MySQL carries these out one after another: what a later one looks at must not be changed before it.
  const changes = [...add(given), ...newest, `last_at = CASE WHEN ${given('last_at')} > last_at THEN ${given('last_at')} ELSE last_at END`]
  await trx.executeQuery(
    CompiledQuery.raw(
      `INSERT INTO bg_loop_error (${columns.join(', ')}) VALUES ${rows.map(() => `(${columns.map(() => '?').join(', ')})`).join(', ')} ${verb} ${changes.join(', ')}`,
      [...rows].sort((a, b) => (keyOf(a.pattern) < keyOf(b.pattern) ? -1 : 1)).flatMap(valuesOf),
    ),
  )
}

type Given = (column: string) => string
const columns = ['task_id', 'error_key', 'sample', 'printed', 'n', 'first_at', 'last_at', 'last_number', 'last_n'] as const
const valuesOf = ({ taskId, number, pattern, sample, printed, n, told, firstAt, lastAt }: Row) => [
  ...[taskId, keyOf(pattern), sample, printed, n],
  ...[firstAt, lastAt, number, told],
]

const keyOf = (pattern: string): string => createHash('sha256').update(pattern).digest('hex').slice(0, 32)

/** Of the run that told of it last, only what is new since then. */
const addNew = (given: Given): string[] => [
  `n = n + CASE WHEN ${given('last_number')} <> last_number OR ${given('last_n')} < last_n THEN ${given('last_n')} ELSE ${given('last_n')} - last_n END`,
  `last_n = ${given('last_n')}`,
  `last_number = ${given('last_number')}`,
]

const addOne = (given: Given): string[] => [
  'n = n + 1',
  `last_n = CASE WHEN ${given('last_number')} = last_number THEN last_n ELSE 0 END`,
  `last_number = ${given('last_number')}`,
]

const forgetOldest = async (trx: Executor, taskId: number): Promise<void> => {
  const rows = await trx
    .selectFrom('bg_loop_error')
    .select('error_key')
    .where('task_id', '=', taskId)
    .orderBy('last_at', 'desc')
    .limit(mostLoopErrors * 2)
    .execute()
  const old = rows.slice(mostLoopErrors).map(row => row.error_key)
  if (old.length > 0) await trx.deleteFrom('bg_loop_error').where('task_id', '=', taskId).where('error_key', 'in', old).execute()
}
