/** A slow, independent reading of cron texts, for tests: it goes through the clock of a zone second by second, or minute by minute. */
export interface SlowFields {
  /** null: any. */
  minutes: readonly number[] | null
  hours: readonly number[] | null
  days: readonly number[] | null
  months: readonly number[] | null
  /** 0 is Sunday. */
  weekdays: readonly number[] | null
}

export const asText = ({ minutes, hours, days, months, weekdays }: SlowFields): string =>
  [minutes, hours, days, months, weekdays].map(field => (field === null ? '*' : field.join(','))).join(' ')

/** All due times in (after, until], by looking at every minute there is. */
export const slowTimes = (fields: SlowFields, timeZone: string, after: number, until: number): number[] => {
  const clock = clockOf(timeZone)
  const fixed = fields.minutes !== null && fields.hours !== null
  const found = new Set<number>()
  const seen = new Set<number>()
  // A day more, so that what the clock shows twice is known to be shown twice.
  const first = Math.floor((after - 86_400_000) / minuteMs) * minuteMs
  let before = clock(first - minuteMs)
  for (let at = first; at <= until; at += minuteMs) {
    const now = clock(at)
    // Times of the clock that lie between two minutes that follow one another do not come: it was set forward.
    if (fixed) for (const skipped of between(before, now)) if (fits(fields, skipped)) found.add(at)
    if (fits(fields, now)) {
      const shown = asMs(now)
      if (!fixed || !seen.has(shown)) found.add(at)
      seen.add(shown)
    }
    before = now
  }
  return [...found].filter(at => at > after && at <= until).sort((a, b) => a - b)
}

interface Shown {
  year: number
  month: number
  day: number
  hour: number
  minute: number
}

const minuteMs = 60_000

const fits = (fields: SlowFields, { year, month, day, hour, minute }: Shown): boolean => {
  const has = (list: readonly number[] | null, value: number) => list === null || list.includes(value)
  if (!has(fields.minutes, minute) || !has(fields.hours, hour) || !has(fields.months, month)) return false
  const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay()
  return fields.days !== null && fields.weekdays !== null
    ? has(fields.days, day) || has(fields.weekdays, weekday)
    : has(fields.days, day) && has(fields.weekdays, weekday)
}

const asMs = ({ year, month, day, hour, minute }: Shown) => Date.UTC(year, month - 1, day, hour, minute)

const between = (from: Shown, to: Shown): Shown[] => {
  const all: Shown[] = []
  for (let at = asMs(from) + minuteMs; at < asMs(to); at += minuteMs) all.push(shownAs(new Date(at)))
  return all
}

const shownAs = (date: Date): Shown => ({
  year: date.getUTCFullYear(),
  month: date.getUTCMonth() + 1,
  day: date.getUTCDate(),
  hour: date.getUTCHours(),
  minute: date.getUTCMinutes(),
})

/** What a clock on the wall shows, told by Intl once for each quarter of an hour: no zone changes within one. */
const clockOf = (timeZone: string) => {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  const offsets = new Map<number, number>()
  return (at: number): Shown => {
    const quarter = Math.floor(at / 900_000)
    let offset = offsets.get(quarter)
    if (offset === undefined) {
      const part = Object.fromEntries(format.formatToParts(quarter * 900_000).map(({ type, value }) => [type, Number(value)]))
      offset = Date.UTC(part.year!, part.month! - 1, part.day!, part.hour!, part.minute!) - quarter * 900_000
      offsets.set(quarter, offset)
    }
    return shownAs(new Date(at + offset))
  }
}
