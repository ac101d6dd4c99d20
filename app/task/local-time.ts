/**
 * The instant at which clocks in a zone show a date and time.
 * @param local `2026-11-21T08:00` or with seconds
 * @param timeZone a name that this Node knows
 * @returns milliseconds since 1970; the earlier one when clocks show it twice; null when they never do, or it is no date and time
 */
export const instantIn = (timeZone: string, local: string): number | null => {
  const found = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(local)
  if (!found) return null
  const [year, month, day, hour, minute, second] = found.slice(1).map(part => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const shown = Date.UTC(year, month - 1, day, hour, minute, second)
  // A date that is none (30 February) reads as another.
  if (new Date(shown).toISOString().slice(0, 16) !== local.slice(0, 16) || second > 59) return null
  // Clocks are changed by hours, so what they were a day before and are a day after has all the offsets that can be.
  const offsets = [shown - dayMs, shown + dayMs].map(at => wallOf(timeZone, at) - at)
  const instants = offsets.map(offset => shown - offset).filter(at => wallOf(timeZone, at) === shown)
  return instants.length > 0 ? Math.min(...instants) : null
}

/** What clocks in a zone show at an instant, for a field of date and time: `2026-11-21T08:00:00`. */
export const localIn = (timeZone: string, at: number): string => new Date(wallOf(timeZone, at)).toISOString().slice(0, 19)

const dayMs = 86_400_000

/** What the clocks show, as if it were UTC. Whole seconds. */
const wallOf = (timeZone: string, at: number): number => {
  const whole = Math.floor(at / 1000) * 1000
  const parts = Object.fromEntries(
    formatIn(timeZone)
      .formatToParts(whole)
      .map(({ type, value }) => [type, Number(value)]),
  )
  return Date.UTC(parts.year!, parts.month! - 1, parts.day, parts.hour, parts.minute, parts.second)
}

const formatIn = (timeZone: string): Intl.DateTimeFormat => {
  const made = formats.get(timeZone) ?? new Intl.DateTimeFormat('en-US', { ...fields, timeZone })
  formats.set(timeZone, made)
  return made
}
const formats = new Map<string, Intl.DateTimeFormat>()
const fields = {
  calendar: 'gregory',
  numberingSystem: 'latn',
  hourCycle: 'h23',
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
} as const
