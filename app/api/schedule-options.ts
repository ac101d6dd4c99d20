import type { MissedRule, OverlapRule } from '../task/schedule.ts'
import type { TaskOptions } from './check-options.ts'

/** What is said of a schedule: when, what, and all that may be said of a task but for its time. */
export interface ScheduleOptions extends Omit<TaskOptions, 'execType' | 'runAt' | 'delayMs' | 'trx' | 'onConflict'> {
  /** Five fields, or six with the second first: `30 2 * * *`; or `@daily`. Either this or `everyMs`. */
  cron?: string | null
  /** 1 s to 366 days, counted from when the schedule was made. */
  everyMs?: number | null
  /** Whose clock the cron text is read by, like `Europe/Berlin`. Default UTC, which is the same on every machine. */
  timeZone?: string | null
  action: string
  params?: unknown
  /** What becomes of due times that passed while nothing ran. Default `once`: one task for all of them. */
  missed?: MissedRule
  /** Whether a task is made while the last one has not ended. Default `allow`. */
  overlap?: OverlapRule
  /** What happens when another task has the unique key. Default `keep`. */
  onConflict?: 'keep' | 'replace' | 'keepLast'
}
