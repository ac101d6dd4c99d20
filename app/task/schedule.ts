import type { Json, Wanted } from './task.ts'

/** When a schedule is due. A cron text is read in its time zone; `everyMs` counts from `anchorAt`, so that nothing drifts. */
export type DueRule = { cron: string; timeZone: string } | { everyMs: number; anchorAt: number }

/**
 * What becomes of due times that passed while nobody looked: `once`: one task for all of them, for the newest; `all`: one each, at most
 * `mostAtOnce`, the newest; `skip`: none, unless the newest is still fresh.
 */
export const missedRules = ['once', 'all', 'skip'] as const
export type MissedRule = (typeof missedRules)[number]

/** When a task of the schedule has not ended yet: `allow`: the next one is made all the same; `skip`: it is not, and that due time is passed over. */
export const overlapRules = ['allow', 'skip'] as const
export type OverlapRule = (typeof overlapRules)[number]

export const madeFrom = ['code', 'panel', 'command-line', 'api'] as const
export type MadeFrom = (typeof madeFrom)[number]

/** A `bg_schedule` row: makes a ONCE task when due. All times are milliseconds since 1970. */
export interface Schedule {
  id: number
  /** Nobody else's. */
  name: string
  rule: DueRule
  action: string
  params: Json
  /** What its tasks are given, filled in. */
  options: ScheduledOptions
  missed: MissedRule
  overlap: OverlapRule
  /** down: paused. */
  wanted: Wanted
  /** null while it is paused, and when its rule has no further time. */
  nextAt: number | null
  /** The newest due time that was dealt with. */
  lastAt: number | null
  lastTaskId: number | null
  /** What happened at the last due time, if it was not the ordinary. */
  note: ScheduleNote | null
  madeBy: string
  madeFrom: MadeFrom
  /** What the code that declares it said when it was last applied, as a hash; null: no code does. */
  declared: string | null
  /** Who changed it last otherwise than by its declaration, and when. */
  editedBy: string | null
  editedAt: number | null
  /** Grows at each change of what it says, so that none is made by an older rule. */
  revision: number
  createdAt: number
  updatedAt: number
}

/** What is said of each task of a schedule besides action and params. */
export interface ScheduledOptions {
  type: string
  creator: string
  priority: number
  uniqueKey: string | null
  onConflict: 'keep' | 'replace' | 'keepLast'
  maxAttempts: number
  timeoutMs: number | null
  graceMs: number
  rerunAfterCrash: boolean
}

export type ScheduleNote =
  /** `passed` due times from `from` to `to` were missed or late, at least so many when `more`; of these `made` became tasks. */
  | { code: 'missed'; at: number; from: number; to: number; passed: number; more: boolean; made: number }
  /** The due time was passed over, since that task had not ended. */
  | { code: 'overlap'; at: number; dueAt: number; taskId: number }
  /** Its task could not be made; it is tried again. */
  | { code: 'failed'; at: number; dueAt: number; detail: string }

/** Tasks that one schedule makes at once for times that it missed. */
export const mostAtOnce = 1_000

/** A due time that is served within this time counts as served, and not as missed. */
export const onTimeMs = 60_000

export const leastEveryMs = 1_000
/** A leap year. */
export const mostEveryMs = 366 * 86_400_000
