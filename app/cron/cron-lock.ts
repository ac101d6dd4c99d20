import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostId } from '../runs/host-id.ts'
import { identify, isAlive } from '../runs/process-identity.ts'
import { type CronLock, readCron, releaseCronLock, renewCronLock, takeCronLock } from '../store/cron.ts'
import type { Db } from '../store/database.ts'

/** The lock of cron, as long as it is ours. */
export interface HeldLock {
  /** What the writes of the run are held against: whoever takes the lock over has another one. */
  readonly token: string
  /** Aborts when another process has taken it over, or may have: when nobody could be told for the time of the lease that this one lives. */
  readonly lost: AbortSignal
  release(): Promise<void>
}

/** How often a run says that it lives, and how long one on another host must have said nothing until it is taken for dead. */
export const lockBeatMs = 2_000
export const lockLeaseMs = 10_000

/**
 * One process runs cron, on whatever host. The lock of a process that died on this host is free at once: its process id, start time and boot say that
 * it is gone. Of one on another host, once its beat has stood still for ten seconds on our own clock.
 * @returns the lock that another live process holds, when it does
 */
export const takeLock = async (
  db: Db,
  { runtime, taskId, leaseMs = lockLeaseMs }: { runtime: string; taskId: number; leaseMs?: number },
): Promise<{ held: HeldLock; by: null } | { held: null; by: CronLock }> => {
  const host = hostId(runtime)
  const own = { ...identify(process.pid)!, token: randomBytes(12).toString('base64url'), host, taskId, at: Date.now() }
  let seen = (await readCron(db)).lock
  let since = performance.now()
  for (;;) {
    const isFree = seen === null || (seen.host === host ? !isAlive(seen) : performance.now() - since >= leaseMs)
    if (isFree && (await takeCronLock(db, own, seen))) return { held: hold(db, own.token, leaseMs), by: null }
    if (seen !== null && seen.host === host && !isFree) return { held: null, by: seen }
    if (!isFree) await sleep(Math.min(lockBeatMs, leaseMs / 4))
    const now = (await readCron(db)).lock
    if (now !== null && seen !== null && now.host !== host && (now.token !== seen.token || now.beat !== seen.beat)) {
      return { held: null, by: now }
    }
    if (now?.token !== seen?.token) since = performance.now()
    seen = now
  }
}

const hold = (db: Db, token: string, leaseMs: number): HeldLock => {
  const lost = new AbortController()
  let toldAt = performance.now()
  let telling = false
  const tell = async () => {
    const askedAt = performance.now()
    telling = true
    try {
      if (await renewCronLock(db, token)) toldAt = askedAt
      else lost.abort()
    } catch {
      // Tried again at the next beat.
    }
    telling = false
  }
  const beat = setInterval(() => {
    // The database is away, perhaps from here alone: before another host may take the lock, this one stops. A process that was paused asks first.
    if (telling && performance.now() - toldAt >= leaseMs - lockBeatMs) lost.abort()
    if (!telling) void tell()
  }, lockBeatMs)
  beat.unref()
  return {
    token,
    lost: lost.signal,
    release: async () => {
      clearInterval(beat)
      await releaseCronLock(db, token)
    },
  }
}
