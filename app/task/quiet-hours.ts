import { instantIn, localIn } from './local-time.ts'
import { readTimeZone } from './time-zone.ts'
import type { Sentence } from './told.ts'

/** From one time of day to another, which may lie on the next day. */
export interface QuietHours {
  /** `22:00` */
  from: string
  to: string
  timeZone: string
}

/** @param given like `22:00-07:00 Europe/Berlin`; without a zone UTC @returns the hours, or a sentence that says what is wrong */
export const readQuietHours = (given: string): QuietHours | { fault: Sentence } => {
  const found = /^((?:[01]\d|2[0-3]):[0-5]\d)\s*-\s*((?:[01]\d|2[0-3]):[0-5]\d)(?:\s+(\S+))?$/.exec(given.trim())
  if (!found) return { fault: 'it must be like 22:00-07:00 Europe/Berlin.' }
  const [, from = '', to = '', zone = 'UTC'] = found
  if (from === to) return { fault: 'it begins and ends at the same time.' }
  const read = readTimeZone(zone)
  return 'fault' in read ? read : { from, to, timeZone: read.timeZone }
}

/** When the quiet hours end in which an instant lies; null when it lies in none. Milliseconds since 1970. */
export const quietUntil = ({ from, to, timeZone }: QuietHours, at: number): number | null => {
  const local = localIn(timeZone, at)
  const time = local.slice(11, 16)
  const overnight = from > to
  const isQuiet = overnight ? time >= from || time < to : time >= from && time < to
  if (!isQuiet) return null
  const today = Date.parse(`${local.slice(0, 10)}T00:00:00Z`)
  const day = new Date(today + (overnight && time >= from ? dayMs : 0)).toISOString().slice(0, 10)
  // A time that clocks jump over is none of that day; then they end an hour later.
  const end = instantIn(timeZone, `${day}T${to}`) ?? instantIn(timeZone, `${day}T${hourAfter(to)}`)
  return end !== null && end > at ? end : at + hourMs
}

const hourAfter = (time: string) => `${String((Number(time.slice(0, 2)) + 1) % 24).padStart(2, '0')}${time.slice(2)}`
const hourMs = 3_600_000
const dayMs = 24 * hourMs
