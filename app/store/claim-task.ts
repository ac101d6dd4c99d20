import { dueAtOf } from '../task/lateness.ts'
import type { Task } from '../task/task.ts'
import type { Db } from './database.ts'
import { fromIndex } from './from-index.ts'
import type { Down } from './hosts.ts'
import { fromReason, toTask } from './rows.ts'
import { type Executor, withRetries } from './transact.ts'

/**
 * Takes a waiting task, with the row of its run, by one conditional update: of several who try, one gets it.
 * @param seen the task as `listDue` gave it
 * @param down when no supervisor ran here last: told of runs that were due before its end
 * @returns the task as claimed, or null when somebody else has it or it changed since
 */
export const claimTask = async (db: Db, seen: Task, owner: Owner, now: number, down: Down | null = null): Promise<Task | null> =>
  (await claimTasks(db, [seen], owner, now, down))[0] ?? null

/** The same for several in one transaction, since a commit costs more than what it commits. @returns those that were got, in the order given */
export const claimTasks = async (db: Db, seen: readonly Task[], owner: Owner, now: number, down: Down | null = null): Promise<Task[]> => {
  // Everybody locks in the order of ids, so that claims and ends never wait for each other.
  const wished = [...seen].sort((a, b) => a.id - b.id).map(task => asClaimed(task, owner, now))
  const attempt = () =>
    db.kysely.transaction().execute(async trx => {
      const got: Task[] = []
      for (const task of wished) if (await claim(db, trx, task, lateness(seen, task, down))) got.push(task)
      return inOrder(got)
    })
  const place = new Map(seen.map((task, index) => [task.id, index]))
  const inOrder = (got: Task[]) => got.sort((a, b) => place.get(a.id)! - place.get(b.id)!)
  // The commit of a broken connection may have been made, so after it the rows say whose the tasks are.
  return withRetries(async maybeDone => {
    const mine = maybeDone ? await findMine(db, wished) : []
    return mine.length ? inOrder(mine) : attempt()
  }).catch(async (error: unknown) => {
    const mine = await findMine(db, wished).catch(() => [])
    if (mine.length) return inOrder(mine)
    throw error
  })
}

type Owner = { host: string; epoch: string }

/** When it was due, and when no supervisor was there to see it. */
const lateness = (seen: readonly Task[], { id }: Task, down: Down | null) => {
  const dueAt = dueAtOf(seen.find(task => task.id === id)!)
  return { due_at: dueAt, ...(down && dueAt < down.to ? { down_from: down.from, down_to: down.to } : {}) }
}

const asClaimed = (seen: Task, owner: Owner, now: number): Task => ({
  ...seen,
  ...owner,
  state: 'running',
  number: seen.number + 1,
  crashCount: seen.crashCount + 1, // counted before the spawn, so that no way to die escapes the count
  startedAt: now,
  finishedAt: null,
  reason: { code: 'started', at: now, number: seen.number + 1 },
  updatedAt: now,
})

const claim = async (
  db: Db,
  trx: Executor,
  { id, number, crashCount, host, epoch, startedAt, reason, updatedAt, attempt, superseded, edits }: Task,
  late: { due_at: number; down_from?: number | null; down_to?: number },
): Promise<boolean> => {
  const { numUpdatedRows } = await trx
    .updateTable(fromIndex(db, 'PRIMARY'))
    .set({
      state: 'running',
      number,
      crash_count: crashCount,
      host,
      epoch,
      started_at: startedAt,
      finished_at: null,
      reason: fromReason(reason),
      due: null,
      updated_at: updatedAt,
    })
    .where('id', '=', id)
    .where('state', '=', 'waiting')
    .where('due', '=', 'now')
    .where('number', '=', number - 1)
    // Its params may have been overwritten or edited since they were read; then it is read again.
    .where('superseded', '=', superseded)
    .where('edits', '=', edits)
    .executeTakeFirst()
  if (numUpdatedRows !== 1n) return false
  await trx
    .insertInto('bg_run')
    .values({ task_id: id, number, host: host!, epoch: epoch!, started_at: startedAt!, recycled: 0, attempt, adopted: 0, ...late })
    .execute()
  return true
}

const findMine = async (db: Db, wished: readonly Task[]): Promise<Task[]> => {
  const ids = wished.map(task => task.id)
  const rows = await db.kysely.selectFrom('bg_task').selectAll().where('id', 'in', ids).where('state', '=', 'running').execute()
  return rows
    .map(toTask)
    .filter(row =>
      wished.some(task => task.id === row.id && task.number === row.number && task.host === row.host && task.epoch === row.epoch),
    )
}
