import { setTimeout as delay } from 'node:timers/promises'
import { dataVersion } from '../../store/data-version.ts'
import type { Db } from '../../store/database.ts'
import { findEnded } from '../../store/find-ended.ts'

/** Tells when tasks have ended: however many wait, the rows are looked at once for all of them. */
export interface Ends {
  /** How many wait. */
  readonly waiting: number
  /** @returns true: it has ended, or is gone; false: the signal came before */
  wait(id: number, signal: AbortSignal): Promise<boolean>
  close(): void
}

/** Times are milliseconds. */
const looks = {
  /** SQLite says by itself whether anything has changed, without a row being read. */
  sqliteMs: 50,
  mysqlMs: 300,
  /** What this process changes itself does not count as a change there. */
  anyhowMs: 1_000,
  whileAwayMs: 2_000,
  /** Ids in one query. */
  atOnce: 500,
}

/** @param report told of what should not have happened */
export const createEnds = (db: Db, report: (error: unknown) => void): Ends => {
  const waits = new Map<number, Set<() => void>>()
  const closing = new AbortController()
  let isLooking = false
  let version: number | null = null

  const look = async () => {
    const changed = await dataVersion(db)
    const isNews = changed === null || changed !== version
    if (!isNews && performance.now() < anyhowAt) return
    version = changed
    anyhowAt = performance.now() + looks.anyhowMs
    const ids = [...waits.keys()]
    for (let from = 0; from < ids.length; from += looks.atOnce) {
      for (const id of await findEnded(db, ids.slice(from, from + looks.atOnce))) for (const ended of [...(waits.get(id) ?? [])]) ended()
    }
  }
  let anyhowAt = 0

  const lookOn = async () => {
    isLooking = true
    while (waits.size > 0 && !closing.signal.aborted) {
      let pauseMs = db.dialect === 'sqlite' ? looks.sqliteMs : looks.mysqlMs
      try {
        await look()
      } catch (error) {
        // The waiting goes on: what has ended meanwhile is found when the database is back.
        report(error)
        pauseMs = looks.whileAwayMs
      }
      await delay(pauseMs, undefined, { ref: false })
    }
    isLooking = false
  }

  return {
    get waiting() {
      return [...waits.values()].reduce((sum, { size }) => sum + size, 0)
    },
    wait: (id, signal) =>
      new Promise(resolve => {
        const own = waits.get(id) ?? new Set()
        waits.set(id, own)
        const settle = (hasEnded: boolean) => {
          signal.removeEventListener('abort', stop)
          own.delete(ended)
          if (own.size === 0) waits.delete(id)
          resolve(hasEnded)
        }
        const ended = () => settle(true)
        const stop = () => settle(false)
        own.add(ended)
        // It may have ended before anybody looked.
        anyhowAt = 0
        if (signal.aborted) return stop()
        signal.addEventListener('abort', stop)
        if (!isLooking) void lookOn()
      }),
    close: () => closing.abort(),
  }
}
