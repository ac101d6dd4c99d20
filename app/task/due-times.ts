import { type CronTimes, readCronText } from './cron-text.ts'
import type { DueRule } from './schedule.ts'

/** The first due time after that moment; null when the rule has none any more. @throws Error when the cron text or its zone is not understood */
export const nextDue = (rule: DueRule, after: number): number | null => {
  if ('cron' in rule) return timesOf(rule).next(after)
  // The anchor itself is none: `every hour` is first due in an hour.
  const rounds = Math.max(1, Math.floor((after - rule.anchorAt) / rule.everyMs) + 1)
  return rule.anchorAt + rounds * rule.everyMs
}

/** The next `count` due times after that moment. */
export const upcoming = (rule: DueRule, after: number, count: number): number[] => {
  const times: number[] = []
  for (let at = nextDue(rule, after); at !== null && times.length < count; at = nextDue(rule, at)) times.push(at)
  return times
}

/** The newest `most` due times up to and with that moment, oldest first. */
export const newestDue = (rule: DueRule, until: number, most: number): number[] => {
  if ('cron' in rule) return timesOf(rule).newestBefore(until + 1, most)
  const rounds = Math.floor((until - rule.anchorAt) / rule.everyMs)
  const first = Math.max(1, rounds - most + 1)
  return Array.from({ length: Math.max(0, rounds - first + 1) }, (_, index) => rule.anchorAt + (first + index) * rule.everyMs)
}

const timesOf = ({ cron, timeZone }: { cron: string; timeZone: string }): CronTimes => {
  const times = readCronText(cron, timeZone)
  if ('fault' in times) throw new Error(String(times.fault))
  return times
}
