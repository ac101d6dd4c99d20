import type { DueDecision } from '../task/decide-due.ts'
import type { Schedule, ScheduleNote } from '../task/schedule.ts'
import type { Task } from '../task/task.ts'
import type { CallerTransaction, Db } from './database.ts'
import { insertTasks, type NewTask } from './insert-task.ts'
import { fromNote } from './schedule-rows.ts'
import { type Executor, transact } from './transact.ts'

/**
 * Makes the tasks of a schedule that is due and moves it on, all in one transaction, which begins with a conditional update: of several
 * supervisors, one does it. A due time that became a task before (the clock was set back since) does not become another: the primary
 * key of `bg_schedule_due` forbids it.
 * @param seen as it was read; when somebody served or changed it since, nothing is done
 * @returns null when nothing was done
 */
export const makeDue = (db: Db, seen: Schedule, decision: DueDecision, now: number): Promise<Made | null> =>
  transact(db, async trx => {
    const { numUpdatedRows } = await trx
      .updateTable('bg_schedule')
      .set({ next_at: decision.nextAt, last_at: decision.lastAt })
      .where('id', '=', seen.id)
      .where('revision', '=', seen.revision)
      .where('next_at', '=', seen.nextAt)
      .executeTakeFirst()
    if (numUpdatedRows !== 1n) return null
    // From here on we hold its row, so nobody else makes any of its due times.
    const there = await knownDues(trx, seen.id, decision.make)
    const fresh = decision.make.filter(at => !there.has(at))
    const still = seen.overlap === 'skip' && fresh.length > 0 ? await unendedTask(trx, seen.id) : null
    const tasks = still === null ? await insertFor(db, trx, seen, fresh, now) : []
    await noteDues(
      trx,
      fresh.map((dueAt, index) => ({ schedule_id: seen.id, due_at: dueAt, by_hand: 0, task_id: tasks[index]?.id ?? null, made_at: now })),
    )
    const note = noteOf(seen, decision, { made: tasks.length, still, now })
    await trx
      .updateTable('bg_schedule')
      .set({ note: fromNote(note), ...(tasks.length > 0 ? { last_task_id: tasks.at(-1)!.id } : {}) })
      .where('id', '=', seen.id)
      .execute()
    return { tasks, note }
  })

export interface Made {
  /** Those that its due times became; with a unique key it may be one that was there. */
  tasks: Task[]
  note: ScheduleNote | null
}

/** Makes one task now, since a person asks, whatever is due when and also while it is paused. */
export const makeByHand = (
  db: Db,
  schedule: Schedule,
  by: string,
  now: number,
): Promise<{ task: Task; added: boolean; replaced: number | null }> =>
  transact(db, async trx => {
    const [made] = await insertTasks(db, [taskAt(schedule, now, by)], { now, trx: trx as CallerTransaction })
    const row = { schedule_id: schedule.id, due_at: now, by_hand: 1, task_id: made!.task.id, made_at: now }
    // Two within one millisecond are two tasks; the later one says the next.
    for (const known = await knownByHand(trx, schedule.id, now); known.has(row.due_at); row.due_at++);
    await noteDues(trx, [row])
    await trx.updateTable('bg_schedule').set({ last_task_id: made!.task.id }).where('id', '=', schedule.id).execute()
    return made!
  })

/** The task could not be made: what is said of it on its page. It stays due. */
export const noteFailedDue = (db: Db, schedule: Schedule, detail: string, now: number): Promise<unknown> =>
  db.kysely
    .updateTable('bg_schedule')
    .set({ note: fromNote({ code: 'failed', at: now, dueAt: schedule.nextAt ?? now, detail: detail.slice(0, 1_000) }) })
    .where('id', '=', schedule.id)
    .execute()

const taskAt = (schedule: Schedule, runAt: number, by: string): NewTask => ({
  action: schedule.action,
  params: schedule.params,
  execType: 'ONCE',
  ...schedule.options,
  runAt,
  by,
})

const insertFor = async (db: Db, trx: Executor, schedule: Schedule, dueTimes: readonly number[], now: number): Promise<Task[]> => {
  const wishes = dueTimes.map(dueAt => taskAt(schedule, dueAt, schedule.name))
  if (wishes.length === 0) return []
  return (await insertTasks(db, wishes, { now, trx: trx as CallerTransaction })).map(({ task }) => task)
}

const knownDues = async (trx: Executor, scheduleId: number, dueTimes: readonly number[]): Promise<Set<number>> => {
  if (dueTimes.length === 0) return new Set()
  const rows = await trx
    .selectFrom('bg_schedule_due')
    .select('due_at')
    .where('schedule_id', '=', scheduleId)
    .where('by_hand', '=', 0)
    .where('due_at', '>=', dueTimes[0]!)
    .where('due_at', '<=', dueTimes.at(-1)!)
    .execute()
  return new Set(rows.map(row => Number(row.due_at)))
}

const knownByHand = async (trx: Executor, scheduleId: number, from: number): Promise<Set<number>> => {
  const rows = await trx
    .selectFrom('bg_schedule_due')
    .select('due_at')
    .where('schedule_id', '=', scheduleId)
    .where('by_hand', '=', 1)
    .where('due_at', '>=', from)
    .execute()
  return new Set(rows.map(row => Number(row.due_at)))
}

const noteDues = async (
  trx: Executor,
  rows: readonly { schedule_id: number; due_at: number; by_hand: number; task_id: number | null; made_at: number }[],
) => {
  // SQLite takes 32,766 values in a statement.
  for (let at = 0; at < rows.length; at += 500)
    await trx
      .insertInto('bg_schedule_due')
      .values(rows.slice(at, at + 500))
      .execute()
}

/** Looks at its newest tasks: one of many that is older and still runs does not hold it up. */
const unendedTask = async (trx: Executor, scheduleId: number): Promise<number | null> => {
  const newest = await trx
    .selectFrom('bg_schedule_due')
    .select('task_id')
    .where('schedule_id', '=', scheduleId)
    .where('task_id', 'is not', null)
    .orderBy('task_id', 'desc')
    .limit(20)
    .execute()
  if (newest.length === 0) return null
  const ids = newest.map(row => Number(row.task_id))
  const tasks = await trx.selectFrom('bg_task').select(['id', 'state']).where('id', 'in', ids).execute()
  return tasks.find(task => task.state === 'waiting' || task.state === 'running')?.id ?? null
}

const noteOf = (
  { nextAt }: Schedule,
  decision: DueDecision,
  { made, still, now }: { made: number; still: number | null; now: number },
): ScheduleNote | null => {
  if (still !== null) return { code: 'overlap', at: now, dueAt: decision.lastAt, taskId: still }
  if (!decision.isLate) return null
  const { lastAt, passed, more } = decision
  return { code: 'missed', at: now, from: nextAt ?? lastAt, to: lastAt, passed, more, made }
}
