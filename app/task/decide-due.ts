import { newestDue, nextDue } from './due-times.ts'
import { type DueRule, type MissedRule, mostAtOnce, type OverlapRule, onTimeMs } from './schedule.ts'

export interface DueDecision {
  /** Due times that become tasks, oldest first. */
  make: number[]
  /** Due times from the planned one up to now; at least so many when `more`. */
  passed: number
  more: boolean
  /** The newest of them. */
  lastAt: number
  /** Not one due time, served in time: what the missed rule says was done. */
  isLate: boolean
  nextAt: number | null
}

/**
 * What a schedule that is due does. One due time that is served within a minute becomes a task; otherwise its missed rule decides.
 * @param due.nextAt the due time that it waited for, not after `now`
 */
export const decideDue = ({
  rule,
  nextAt,
  missed,
  overlap,
  now,
}: {
  rule: DueRule
  nextAt: number
  missed: MissedRule
  overlap: OverlapRule
  now: number
}): DueDecision => {
  const { newest, more } = passedTimes(rule, nextAt, now)
  const lastAt = newest.at(-1)!
  const isFresh = now - lastAt <= onTimeMs
  const isLate = newest.length > 1 || more || !isFresh
  // Where only one may run at a time, the others would be passed over the moment they are made.
  const all = overlap === 'skip' ? [lastAt] : newest
  const make = !isLate || missed === 'once' || (missed === 'skip' && isFresh) ? [lastAt] : missed === 'all' ? all : []
  return { make, passed: newest.length, more, lastAt, isLate, nextAt: nextDue(rule, now) }
}

/** When the clock was set back: the time that the schedule should wait for instead; null when what it waits for is right. */
export const soonerDue = (rule: DueRule, nextAt: number, now: number): number | null => {
  const expected = nextDue(rule, now)
  return expected !== null && expected < nextAt ? expected : null
}

// One more than may be made is looked at, to see that there are more; then the newest of them count.
const passedTimes = (rule: DueRule, nextAt: number, now: number): { newest: number[]; more: boolean } => {
  const passed = [nextAt]
  for (let at = nextDue(rule, nextAt); at !== null && at <= now; at = nextDue(rule, at)) {
    passed.push(at)
    if (passed.length > mostAtOnce) return { newest: newestDue(rule, now, mostAtOnce), more: true }
  }
  return { newest: passed, more: false }
}
