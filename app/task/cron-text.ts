import { Cron } from 'croner'
import { type Sentence, told } from './told.ts'

/** Ready to be asked for times. */
export interface CronTimes {
  /** The first time after that moment; null when there is none any more. */
  next(after: number): number | null
  /** The newest `most` times before that moment, oldest first. */
  newestBefore(before: number, most: number): number[]
}

/**
 * Cron text of five fields (minute hour day month weekday) or six (second first), or a nickname like @daily. Names of months and days,
 * lists, ranges, steps, `L`, `W` and `#` are understood. Where day and weekday are both given, either is enough, as cron has it.
 *
 * When a clock is set forward, fixed times (no `*` and no step in second, minute and hour) that it jumps over come at the end of the jump, together;
 * when it is set back they come once, the first time. Times with `*` or steps follow the clock: those jumped over do not come,
 * those that come twice come twice.
 * @returns the times, or a sentence that says what is wrong with what, and gives an example
 */
export const readCronText = (text: string, timeZone: string): CronTimes | { fault: Sentence } => {
  const key = `${timeZone} ${text}`
  const known = read.get(key)
  if (known) return known
  const fault = faultIn(text)
  if (fault !== null) return { fault }
  const cron = cronOf(text, timeZone)
  if (!(cron instanceof Cron)) return cron
  const times: CronTimes = {
    next: after => cron.nextRun(new Date(after))?.getTime() ?? null,
    newestBefore: (before, most) =>
      cron
        .previousRuns(most, new Date(before))
        .map(date => date.getTime())
        .reverse(),
  }
  // Each holds some 80 kB.
  if (read.size >= 200) read.clear()
  read.set(key, times)
  return times
}

const read = new Map<string, CronTimes>()

export const cronExample = told`30 2 * * * (every day at 02:30)`

const cronOf = (text: string, timezone: string): Cron | { fault: Sentence } => {
  try {
    return new Cron(text, { timezone, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' })
  } catch (error) {
    return { fault: inOurWords(text, error instanceof Error ? error.message : String(error)) }
  }
}

/** What the library would take for something else, or say in too few words. */
const faultIn = (text: string): Sentence | null => {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
  if (text.length > mostCharacters) return told`The cron text is ${text.length} characters long; allowed are at most ${mostCharacters}.`
  const fields = text.trim().split(/\s+/).filter(Boolean)
  if (fields.length === 0) return told`The cron text is empty. Write it like ${cronExample}.`
  if (fields[0]!.startsWith('@')) {
    if (fields.length === 1 && nicknames.includes(fields[0]!.toLowerCase())) return null
    if (fields[0]!.toLowerCase() === '@reboot') {
      return told`The cron text @reboot names no time; what shall always run is a loop: add a FOREVER task instead.`
    }
    return told`The cron text ${shown} is no nickname; there are ${nicknames.join(', ')}.`
  }
  if (fields.length < 5 || fields.length > 6) {
    const many = fields.length === 1 ? told`1 field` : told`${fields.length} fields`
    return told`The cron text ${shown} has ${many}; it needs five (minute, hour, day of the month, month, weekday) or six, with the second first. An example: ${cronExample}.`
  }
  return null
}

const mostCharacters = 200
const nicknames = ['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually']
const fieldNames = [told`second`, told`minute`, told`hour`, told`day of the month`, told`month`, told`weekday`]
const allowed = [
  told`0 to 59`,
  told`0 to 59`,
  told`0 to 23`,
  told`1 to 31, L, LW or 15W`,
  told`1 to 12 or JAN to DEC`,
  told`0 to 7 or SUN to SAT, FRI#2, FRIL`,
]

/** The field which is at fault is found by trying each alone, since the library's messages do not all name it. */
const inOurWords = (text: string, message: string): Sentence => {
  const fields = text.trim().split(/\s+/)
  const from = 6 - fields.length
  const wrong = fields.findIndex((field, index) => !isGoodField(field, index + from))
  if (wrong < 0) return told`The cron text ${JSON.stringify(text)} is not understood: ${plain(message)}. An example: ${cronExample}.`
  const kind = wrong + from
  return told`The cron text ${JSON.stringify(text)} has ${JSON.stringify(fields[wrong])} as its ${fieldNames[kind]!}, which is not understood. Allowed there are ${allowed[kind]!}, *, lists like 1,15, ranges like 1-5 and steps like */5 or 10-20/5. An example: ${cronExample}.`
}

const isGoodField = (field: string, kind: number): boolean => {
  const all = ['0', '*', '*', '*', '*', '*']
  all[kind] = field
  try {
    new Cron(all.join(' '), { mode: '6-part' })
    return true
  } catch {
    return false
  }
}

const plain = (message: string) => message.replace(/^Cron\w+: /, '').replace(/\.$/, '')
