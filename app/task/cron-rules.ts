/** What `Run cron every` offers, in milliseconds, as Drupal does; 0: never. */
export const cronEveryChoices = [0, 3_600_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000] as const

/** By its address cron is run at most once in so many milliseconds. */
export const cronAddressGapMs = 10_000

interface CronTimes {
  /** Milliseconds since 1970; 0: nobody ever asked. */
  askedAt: number
  begunAt: number | null
  everyMs: number
}

/** When a run is due after a web request; null: never. @param cron since the last run that was asked for, or that began by itself */
export const nextAfterRequest = ({ everyMs, askedAt, begunAt }: CronTimes): number | null =>
  everyMs === 0 ? null : Math.max(askedAt, begunAt ?? 0) + everyMs

export const isDueAfterRequest = (cron: CronTimes, now: number): boolean => {
  const next = nextAfterRequest(cron)
  return next !== null && (now >= next || isAhead(cron, now))
}

/** How long one who asks by the address has to wait, in milliseconds; 0: not at all. */
export const addressWaitMs = (cron: CronTimes, now: number): number =>
  isAhead(cron, now) ? 0 : Math.max(0, cron.askedAt + cronAddressGapMs - now)

/** The clock was set back, or another host's is wrong: what it says must not keep cron from running for as long. */
const isAhead = ({ askedAt, begunAt }: CronTimes, now: number) => Math.max(askedAt, begunAt ?? 0) > now + 60_000
