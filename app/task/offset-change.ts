/**
 * When the clock of a zone is set next: the first moment with another distance from UTC, within a year after that moment.
 * @returns null when it is not set within a year
 */
export const nextOffsetChange = (timeZone: string, after: number): number | null => {
  const offset = (at: number) => offsetAt(timeZone, at)
  const before = offset(after)
  // No clock is set to and fro within a week, and each look takes some time.
  for (let low = after; low < after + 366 * dayMs; low += weekMs) {
    let high = low + weekMs
    if (offset(high) === before) continue
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (offset(middle) === before) low = middle
      else high = middle
    }
    return high
  }
  return null
}

const dayMs = 86_400_000
const weekMs = 7 * dayMs

/** How far the clocks of a zone are ahead of UTC at a moment, in minutes. */
export const offsetAt = (timeZone: string, at: number): number => {
  const text = formatIn(timeZone)
    .formatToParts(at)
    .find(({ type }) => type === 'timeZoneName')!.value
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(text) ?? ['', '+', '0', '0']
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}

const formatIn = (timeZone: string) => {
  const made = formats.get(timeZone) ?? new Intl.DateTimeFormat('en-GB', { timeZone, timeZoneName: 'longOffset' })
  formats.set(timeZone, made)
  return made
}
const formats = new Map<string, Intl.DateTimeFormat>()
