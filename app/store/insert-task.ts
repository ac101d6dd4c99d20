import { randomBytes } from 'node:crypto'
import { BgtaskError } from '../errors.ts'
import type { ExecType, Json, Reason, Task } from '../task/task.ts'
import { stateWord, told } from '../task/told.ts'
import type { CallerTransaction, Db } from './database.ts'
import { type Draft, insertOrFindHolder, insertRows, queueUp, rowsAtOnce } from './insert-rows.ts'
import { keepLast } from './keep-last.ts'
import { replaceHolder } from './replace-task.ts'
import { toTask } from './rows.ts'
import { type Executor, transact, withRetries } from './transact.ts'

/** A task to be stored; all is checked and filled in by `api/check-task`. */
export interface NewTask {
  action: string
  params: Json
  execType: ExecType
  type: string
  creator: string
  priority: number
  runAt: number
  uniqueKey: string | null
  onConflict: OnConflict
  maxAttempts: number
  timeoutMs: number | null
  graceMs: number
  rerunAfterCrash: boolean
  /** Who asked for it, as told on a page. */
  by?: string
}

/** What becomes of a unique key that is held: see `api/check-options`. */
export type OnConflict = 'replace' | 'keep' | 'keepLast' | 'reject'

export interface InsertedTask {
  /** The new one, or the one that was kept or overwritten. */
  task: Task
  added: boolean
  /** keepLast: a task that waited already has these params and options now. */
  updated: boolean
  /** Id of the task that this one replaces. */
  replaced: number | null
}

/**
 * Stores tasks, all of them or none; 1,000 without unique keys take one round trip.
 * @param options.trx the caller's own transaction: committed together or not at all, and never retried here
 * @param options.together done last in the same transaction: without it nothing is stored
 * @param options.mayMeet asked, in the same transaction, of each task that has a wanted key and would be kept, overwritten or replaced
 * @returns in the order given
 * @throws BgtaskError `conflict` when a unique key is held and the task says reject, or `mayMeet` says no; nothing is stored then
 */
export const insertTasks = async (
  db: Db,
  tasks: readonly NewTask[],
  {
    now = Date.now(),
    trx,
    together,
    mayMeet = () => true,
  }: {
    now?: number
    trx?: CallerTransaction
    together?: (inserted: InsertedTask[], trx: CallerTransaction) => Promise<void>
    mayMeet?: (other: Task) => boolean
  } = {},
): Promise<InsertedTask[]> => {
  // Numbered here and not by the database, so that after a broken connection we can see whether they are there.
  const drafts = tasks.map(task => draft(task, now))
  const groups = inGroups(drafts, rowsAtOnce(db))
  const work = async (executor: Executor): Promise<InsertedTask[]> => {
    const answers: InsertedTask[] = []
    for (const group of groups) {
      const [first] = group
      if (first!.task.uniqueKey !== null) answers.push(await insertKeyed(db, executor, first!, tasks[answers.length]!, now, mayMeet))
      else {
        await insertRows(db, executor, group)
        for (const { task } of group) answers.push({ ...asAdded, task })
      }
    }
    return answers
  }
  const found = (executor: Executor) =>
    findInserted(executor, drafts, index => insertKeyed(db, executor, drafts[index]!, tasks[index]!, now, mayMeet))
  // One statement is a transaction of its own.
  if (!trx && !together && groups.length === 1 && groups[0]![0]!.task.uniqueKey === null) {
    return withRetries(async maybeDone => (maybeDone && (await found(db.kysely))) || work(db.kysely))
  }
  return transact(
    db,
    async (begun, maybeDone) => {
      if (!trx) await queueUp(db, begun, drafts)
      const there = maybeDone ? await found(begun) : null
      // What is there already was committed with all that belongs to it.
      if (there) return there
      const inserted = await work(begun)
      await together?.(inserted, begun)
      return inserted
    },
    trx,
  )
}

const asAdded = { added: true, updated: false, replaced: null } as const

const draft = (given: NewTask, now: number): Draft => ({ task: newTask(given, now), params: JSON.stringify(given.params), afterId: null })

const newTask = (task: NewTask, now: number): Task => {
  const forever = task.execType === 'FOREVER'
  const reason: Reason = { code: task.runAt > now ? 'due-later' : 'added', at: now, ...(task.runAt > now ? { until: task.runAt } : {}) }
  return {
    id: 0,
    uid: newUid(),
    action: task.action,
    params: task.params,
    execType: task.execType,
    type: task.type,
    creator: task.creator,
    state: forever ? 'stopped' : 'waiting',
    wanted: 'up',
    content: null,
    reason: task.by ? { ...reason, by: task.by } : reason,
    priority: task.priority,
    runAt: task.runAt,
    uniqueKey: task.uniqueKey,
    attempt: 0,
    maxAttempts: task.maxAttempts,
    timeoutMs: task.timeoutMs,
    graceMs: task.graceMs,
    rerunAfterCrash: task.rerunAfterCrash,
    crashCount: 0,
    number: 0,
    wish: 0,
    superseded: 0,
    edits: 0,
    host: null,
    epoch: null,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
    updatedAt: now,
  }
}

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'

// 252 is the greatest multiple of 36 in a byte: what lies above is thrown away, so that all letters are alike likely.
const newUid = (): string => {
  let uid = ''
  while (uid.length < 16) {
    const byte = nextByte()
    if (byte < 252) uid += letters[byte % 36]
  }
  return uid
}

// Asking the system for random bytes costs much more than the bytes do.
const nextByte = (): number => {
  if (nextAt === random.length) {
    random = randomBytes(8_192)
    nextAt = 0
  }
  return random[nextAt++]!
}
let random = Buffer.alloc(0)
let nextAt = 0

// Those with a unique key go one by one, since each may meet another task; the ones between them go together.
const inGroups = (drafts: readonly Draft[], rows: number): Draft[][] => {
  const groups: Draft[][] = []
  let open: Draft[] = []
  let length = 0
  for (const draft of drafts) {
    const keyed = draft.task.uniqueKey !== null
    if (
      groups.length === 0 ||
      keyed ||
      open[0]!.task.uniqueKey !== null ||
      open.length >= rows ||
      length + draft.params.length > 2_000_000
    ) {
      open = []
      groups.push(open)
      length = 0
    }
    open.push(draft)
    length += draft.params.length
  }
  return groups
}

const insertKeyed = async (
  db: Db,
  executor: Executor,
  draft: Draft,
  { onConflict, by }: NewTask,
  now: number,
  mayMeet: (other: Task) => boolean,
): Promise<InsertedTask> => {
  const { task } = draft
  const key = JSON.stringify(task.uniqueKey)
  const requireMayMeet = (other: Task) => {
    if (mayMeet(other)) return
    throw new BgtaskError(
      'conflict',
      told`The unique key ${key} is held by a task of an action that you may not add, which is told no more of; nothing is stored.`,
    )
  }
  const holder = await insertOrFindHolder(db, executor, draft)
  if (!holder) return { ...asAdded, task }
  requireMayMeet(holder)
  switch (onConflict) {
    case 'keep':
      return { task: holder, added: false, updated: false, replaced: null }
    case 'reject':
      throw new BgtaskError(
        'conflict',
        told`The unique key ${key} is held by task ${holder.id}, which is ${stateWord(holder.state)}. Wait for its end, cancel it, or use onConflict replace or keep.`,
      )
    case 'keepLast':
      return { replaced: null, ...(await keepLast(db, executor, holder, draft, now, { by, mayMeet: requireMayMeet })) }
    case 'replace':
      return { ...asAdded, ...(await replaceHolder(db, executor, holder, draft, now, { by, mayMeet: requireMayMeet })) }
  }
}

/** Only asked after a connection broke. @returns null when nothing of it was stored */
const findInserted = async (
  executor: Executor,
  drafts: readonly Draft[],
  work: (missing: number) => Promise<InsertedTask>,
): Promise<InsertedTask[] | null> => {
  const uids = drafts.map(({ task }) => task.uid)
  const rows = await executor.selectFrom('bg_task').selectAll().where('uid', 'in', uids).execute()
  if (rows.length === 0) return null
  const stored = new Map(rows.map(row => [row.uid, toTask(row)]))
  const answers: InsertedTask[] = []
  for (const [index, uid] of uids.entries()) {
    const task = stored.get(uid)
    // All were committed together, so one that is not there was not added, since another one was kept.
    answers.push(task ? { ...asAdded, task } : await work(index))
  }
  return answers
}
