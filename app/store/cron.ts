import type { ProcessIdentity } from '../runs/process-identity.ts'
import type { CallerTransaction, Db } from './database.ts'
import { forUpdate } from './for-update.ts'
import { type Executor, transact, withRetries } from './transact.ts'

/** What is set about cron, and which process runs it. Times are milliseconds since 1970. */
export interface Cron {
  /** `Run cron every`, after a web request; 0: never. */
  everyMs: number
  /** When somebody last asked for a run; 0: nobody ever did. */
  askedAt: number
  /** When a run last began; null: none ever did. */
  begunAt: number | null
  key: { hash: string; madeAt: number; madeBy: string } | null
  lock: CronLock | null
}

/** Which process runs cron. */
export interface CronLock extends ProcessIdentity {
  token: string
  host: string
  /** Counts on while the process lives. */
  beat: number
  taskId: number
  at: number
}

export const readCron = (db: Db): Promise<Cron> =>
  withRetries(async () => {
    const row = await db.kysely.selectFrom('bg_cron').selectAll().where('one', '=', 1).executeTakeFirstOrThrow()
    return {
      everyMs: Number(row.every_ms),
      askedAt: Number(row.asked_at),
      begunAt: row.lock_at === null ? null : Number(row.lock_at),
      key: row.key_hash === null ? null : { hash: row.key_hash, madeAt: Number(row.key_made_at), madeBy: row.key_made_by ?? '' },
      lock:
        row.lock_token === null
          ? null
          : {
              token: row.lock_token,
              host: row.lock_host ?? '',
              pid: Number(row.lock_pid),
              startTicks: Number(row.lock_start_ticks),
              bootId: row.lock_boot_id ?? '',
              beat: Number(row.lock_beat),
              taskId: Number(row.lock_task_id),
              at: Number(row.lock_at),
            },
    }
  })

export const setCronEvery = (db: Db, everyMs: number): Promise<void> =>
  withRetries(async () => {
    await ofCron(db.kysely).set({ every_ms: everyMs }).execute()
  })

/**
 * Notes that a run is asked for, if that was not done since `seen.askedAt`: of several who try, one does.
 * @param trx the transaction that adds the task, so that there is never one without the other
 */
export const noteAsked = async (db: Db, seen: Pick<Cron, 'askedAt'>, now: number, trx?: CallerTransaction): Promise<boolean> => {
  const note = async (executor: Executor) => {
    // Never the same moment twice, since that is what tells two who ask apart.
    const at = Math.max(now, seen.askedAt === now ? now + 1 : now)
    const { numUpdatedRows } = await ofCron(executor).set({ asked_at: at }).where('asked_at', '=', seen.askedAt).executeTakeFirst()
    return numUpdatedRows > 0n
  }
  return trx ? note(trx as unknown as Executor) : withRetries(() => note(db.kysely))
}

/** Whoever asks on purpose puts off what is asked for by itself. */
export const noteAskedNow = (db: Db, now: number): Promise<void> =>
  withRetries(async () => {
    await ofCron(db.kysely).set({ asked_at: now }).where('asked_at', '<', now).execute()
  })

/** @param before.hash only if it is still this one; null: if there is none @returns false when another was made meanwhile */
export const setCronKey = (db: Db, key: NonNullable<Cron['key']>, before: { hash: string } | null): Promise<boolean> =>
  withRetries(async () => {
    const { numUpdatedRows } = await ofCron(db.kysely)
      .set({ key_hash: key.hash, key_made_at: key.madeAt, key_made_by: key.madeBy.slice(0, 64) })
      .where('key_hash', before === null ? 'is' : '=', before?.hash ?? null)
      .executeTakeFirst()
    return numUpdatedRows > 0n || (await readCron(db)).key?.hash === key.hash
  })

/** Takes the lock from nobody, or from the one that was seen and found dead. @returns whether it is ours */
export const takeCronLock = (db: Db, lock: Omit<CronLock, 'beat'>, from: Pick<CronLock, 'token' | 'beat'> | null): Promise<boolean> =>
  withRetries(async maybeDone => {
    let update = ofCron(db.kysely).set({
      lock_token: lock.token,
      lock_host: lock.host,
      lock_pid: lock.pid,
      lock_start_ticks: lock.startTicks,
      lock_boot_id: lock.bootId,
      lock_beat: 0,
      lock_task_id: lock.taskId,
      lock_at: lock.at,
    })
    update =
      from === null
        ? update.where('lock_token', 'is', null)
        : update.where('lock_token', '=', from.token).where('lock_beat', '=', from.beat)
    const { numUpdatedRows } = await update.executeTakeFirst()
    return numUpdatedRows > 0n || (maybeDone && (await readCron(db)).lock?.token === lock.token)
  })

/** Says that its process lives. @returns false when another has taken it over */
export const renewCronLock = (db: Db, token: string): Promise<boolean> =>
  withRetries(async () => {
    const { numUpdatedRows } = await ofCron(db.kysely)
      .set(row => ({ lock_beat: row('lock_beat', '+', 1) }))
      .where('lock_token', '=', token)
      .executeTakeFirst()
    return numUpdatedRows > 0n
  })

/** Another process has the lock of cron by now: what this one still wanted to write is not written. */
export class CronLockLost extends Error {
  constructor() {
    super('Another process has taken cron over; this one stops.')
    this.name = 'CronLockLost'
  }
}

/**
 * Writes what only the process may write that runs cron, in a transaction that holds the lock's row: nobody takes cron over in the midst of it.
 * @throws CronLockLost when the lock is not held under this token; nothing is written
 */
export const underCronLock = <T>(db: Db, token: string, work: (trx: Executor) => Promise<T>): Promise<T> =>
  transact(db, async trx => {
    const row = await forUpdate(db, trx.selectFrom('bg_cron').select('lock_token').where('one', '=', 1)).executeTakeFirstOrThrow()
    if (row.lock_token !== token) throw new CronLockLost()
    return work(trx)
  })

export const releaseCronLock = (db: Db, token: string): Promise<void> =>
  withRetries(async () => {
    await ofCron(db.kysely).set({ lock_token: null }).where('lock_token', '=', token).execute()
  })

/**
 * A cron run begins, or goes on where an earlier run of the same task died or was stopped.
 * @param number of the run of the task; 0: by hand, which goes on from nowhere
 * @returns number of the run that began it
 * @throws CronLockLost
 */
export const openCronRun = (db: Db, token: string, { taskId, number }: { taskId: number; number: number }): Promise<number> =>
  underCronLock(db, token, async trx => {
    const row = await trx.selectFrom('bg_cron').select(['open_task_id', 'open_number']).where('one', '=', 1).executeTakeFirstOrThrow()
    if (number > 0 && Number(row.open_task_id) === taskId && Number(row.open_number) > 0) return Number(row.open_number)
    await ofCron(trx).set({ open_task_id: taskId, open_number: number }).execute()
    return number
  })

/** It came to its end: the next run of that task, if somebody wants one, does everything again. @throws CronLockLost */
export const closeCronRun = (db: Db, token: string, taskId: number): Promise<void> =>
  underCronLock(db, token, async trx => {
    await ofCron(trx).set({ open_task_id: null, open_number: null }).where('open_task_id', '=', taskId).execute()
  })

/** A running task gives its unique key up, as if it had ended: another may be added. */
export const giveUpCronKey = (db: Db, { id, number }: { id: number; number: number }): Promise<void> =>
  withRetries(async () => {
    const own = db.kysely.updateTable('bg_task').where('id', '=', id)
    await own.set({ held_key: null }).where('number', '=', number).where('state', '=', 'running').execute()
  })

const ofCron = (executor: Executor) => executor.updateTable('bg_cron').where('one', '=', 1)
