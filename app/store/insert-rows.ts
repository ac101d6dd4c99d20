import { CompiledQuery } from 'kysely'
import { BgtaskError } from '../errors.ts'
import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { fromReason, heldKey, toTask } from './rows.ts'
import type { Executor } from './transact.ts'

/** A task on its way into the database, which gives it its id. */
export interface Draft {
  task: Task
  /** As JSON. */
  params: string
  /** It waits for the end of that task. */
  afterId: number | null
  /** It does not hold its key yet: it follows the task that does. */
  isNext?: boolean
}

/** Rows in one statement. SQLite has no round trips to save, and long statements are slow to prepare. */
export const rowsAtOnce = (db: Db): number => (db.dialect === 'sqlite' ? 100 : 1_000)

/** Inserts drafts in one statement and fills in their ids. Their unique keys must be free. */
export const insertRows = async (db: Db, executor: Executor, drafts: readonly Draft[]): Promise<void> => {
  const sql = statement(drafts.length) + (db.returning ? ' RETURNING id, uid' : '')
  const { rows } = await executor.executeQuery<Given>(CompiledQuery.raw(sql, drafts.flatMap(values)))
  if (db.returning) fillIn(drafts, rows)
  else await findIds(executor, drafts)
}

/** Reads the ids that the database gave: computing them from the first would be wrong where several servers give them out. */
const findIds = async (executor: Executor, drafts: readonly Draft[]): Promise<void> => {
  const uids = drafts.map(({ task }) => task.uid)
  fillIn(drafts, await executor.selectFrom('bg_task').select(['id', 'uid']).where('uid', 'in', uids).execute())
}

/**
 * Inserts a draft with a unique key, or finds the task that holds it, locked until the transaction ends.
 * One statement does both, so that of several writers none sees the key free that another one takes.
 */
export const insertOrFindHolder = async (db: Db, executor: Executor, draft: Draft): Promise<Task | null> => {
  const orLock =
    db.dialect === 'sqlite'
      ? ' ON CONFLICT (held_key) WHERE held_key IS NOT NULL DO UPDATE SET updated_at = updated_at'
      : ' ON DUPLICATE KEY UPDATE updated_at = updated_at'
  const { rows } = await executor.executeQuery<Given>(
    CompiledQuery.raw(statement(1) + orLock + (db.returning ? ' RETURNING id, uid' : ''), values(draft)),
  )
  const [there] = db.returning
    ? rows
    : await forUpdate(
        db,
        executor.selectFrom('bg_task').select(['id', 'uid']).where('held_key', '=', heldKey(draft.task.uniqueKey!)),
      ).execute()
  if (!there) throw new BgtaskError('failed', `The unique key ${JSON.stringify(draft.task.uniqueKey)} could not be taken; try again.`)
  if (there.uid === draft.task.uid) {
    draft.task.id = Number(there.id)
    return null
  }
  return toTask(await forUpdate(db, executor.selectFrom('bg_task').selectAll().where('id', '=', there.id)).executeTakeFirstOrThrow())
}

/**
 * Writers of one unique key wait for one another here, in order. The unique index alone would keep the promise as well, but MySQL
 * sees deadlocks among several who meet at an index entry that is being replaced. Not in the caller's transaction, which may be long.
 */
export const queueUp = async (db: Db, trx: Executor, drafts: readonly Draft[]): Promise<void> => {
  if (db.dialect === 'sqlite') return
  const slots = new Set(drafts.flatMap(({ task }) => (task.uniqueKey === null ? [] : [heldKey(task.uniqueKey)[0]!])))
  if (slots.size === 0) return
  await trx
    .selectFrom('bg_key_slot')
    .select('slot')
    .where('slot', 'in', [...slots])
    .orderBy('slot')
    .forUpdate()
    .execute()
}

interface Given {
  id: number
  uid: string
}

// The columns that are not given here have defaults.
const columns = [
  ...[
    'uid',
    'action',
    'params',
    'exec_type',
    'type',
    'creator',
    'state',
    'wanted',
    'reason',
    'priority',
    'run_at',
    'unique_key',
    'held_key',
    'next_key',
  ],
  ...['max_attempts', 'timeout_ms', 'grace_ms', 'rerun_after_crash', 'created_at', 'updated_at', 'due', 'after_id'],
]

const values = ({ task, params, afterId, isNext = false }: Draft): unknown[] => [
  task.uid,
  task.action,
  params,
  task.execType,
  task.type,
  task.creator,
  task.state,
  task.wanted,
  fromReason(task.reason),
  task.priority,
  task.runAt,
  task.uniqueKey,
  task.uniqueKey === null || isNext ? null : heldKey(task.uniqueKey),
  task.uniqueKey === null || !isNext ? null : heldKey(task.uniqueKey),
  task.maxAttempts,
  task.timeoutMs,
  task.graceMs,
  task.rerunAfterCrash ? 1 : 0,
  task.createdAt,
  task.updatedAt,
  task.execType === 'FOREVER' ? null : afterId !== null ? 'after' : task.runAt > task.createdAt ? 'later' : 'now',
  afterId,
]

const statement = (rows: number): string => {
  const known = statements.get(rows)
  if (known) return known
  const row = `(${columns.map(() => '?').join(', ')})`
  const made = `INSERT INTO bg_task (${columns.join(', ')}) VALUES ${Array(rows).fill(row).join(', ')}`
  if (statements.size < 1_000) statements.set(rows, made)
  return made
}
const statements = new Map<number, string>()

const fillIn = (drafts: readonly Draft[], rows: readonly Given[]) => {
  const ids = new Map(rows.map(row => [row.uid, Number(row.id)]))
  for (const { task } of drafts) {
    const id = ids.get(task.uid)
    if (id === undefined)
      throw new BgtaskError('failed', `The database gave no id for task ${task.uid}; look for it by its uid before adding it again.`)
    task.id = id
  }
}
