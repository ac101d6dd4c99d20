import { setTimeout as sleep } from 'node:timers/promises'
import type { Background } from './background.ts'

/** Tasks in one transaction. On SQLite, which has one writer at a time, that is some twenty milliseconds. */
export const rowsAtOnce = { sqlite: 250, mysql: 500 } as const

/**
 * SQLite blocks this process while it works and keeps all other writers waiting, who look in vain again and again: they have the place for as long
 * as we had it, and here progress is told and a stop is heard. A server lets the others through.
 */
export const leaveRoom = (db: Background['db'], workedMs: number) => sleep(db.dialect === 'sqlite' ? workedMs : 0)

/** Folders of a task's runs that may be there: older ones are pruned by the supervisor. */
export const runsKept = 100
