import { Cron } from 'croner'
import { offsetAt } from './offset-change.ts'
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
  const follows = followsClock(text)
  const isDue = (at: number) => cron.match(new Date(at))
  const next = (after: number): number | null => {
    const at = after + 1
    if (follows && at % 60_000 === 0 && offsetAt(timeZone, at) > offsetAt(timeZone, after)) return isDue(at) ? at : next(at)
    return cron.nextRun(new Date(after))?.getTime() ?? null
  }
  const times: CronTimes = {
    next,
    newestBefore: (before, most) =>
      most <= few
        ? fewBefore(from => (follows ? inLastMinute(isDue, from) : null) ?? lastBefore(next, from), before, most)
        : cron
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

/** Not a fixed time: what a clock jumps over does not come. */
const followsClock = (text: string) =>
  text
    .trim()
    .split(/\s+/)
    .slice(0, -3)
    .some(field => /[*/]/.test(field))

/*
 * The library goes second by second, or minute by minute, through what a clock has jumped over: forwards that takes it a tenth of a second for two hours,
 * and backwards a second. So the end of a jump is looked at by itself, and few times that lie behind are sought by asking for next ones.
 */
const few = 5

const fewBefore = (last: (before: number) => number | null, before: number, most: number): number[] => {
  const found: number[] = []
  for (let from = before; found.length < most; from = found[0]!) {
    const at = last(from)
    if (at === null) break
    found.unshift(at)
  }
  return found
}

const inLastMinute = (isDue: (at: number) => boolean, before: number): number | null => {
  const last = Math.ceil(before / 1_000) * 1_000 - 1_000
  for (let at = last; at > last - 60_000; at -= 1_000) if (isDue(at)) return at
  return null
}

/** Goes back twice as far each time until something lies ahead of `before`, and then finds the last of it by halves. */
const lastBefore = (next: CronTimes['next'], before: number): number | null => {
  const within = (s: number): number | null => {
    const at = next(before - 1 - s * 1_000)
    return at !== null && at < before ? at : null
  }
  let far = 1
  let at = within(far)
  while (at === null) {
    if (far > longestS) return null
    far *= 2
    at = within(far)
  }
  // Something lies so far back, and nothing half as far.
  for (let near = far / 2; far - near > 1; ) {
    const middle = Math.floor((near + far) / 2)
    const closer = within(middle)
    if (closer === null) near = middle
    else {
      far = middle
      at = closer
    }
  }
  return at
}

/** Twelve years: a 29 February on a certain weekday may be missing for so long. */
const longestS = 12 * 366 * 86_400

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
