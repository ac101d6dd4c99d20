/**
 * When the clock of a zone is set next: the first moment with another distance from UTC, within a year after that moment.
 * @returns null when it is not set within a year
 */
export const nextOffsetChange = (timeZone: string, after: number): number | null => {
  const offset = offsetOf(timeZone)
  for (let from = after; from < after + 366 * dayMs; from += dayMs) {
    if (offset(from) === offset(from + dayMs)) continue
    let [low, high] = [from, from + dayMs]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (offset(middle) === offset(from)) low = middle
      else high = middle
    }
    return high
  }
  return null
}

const dayMs = 86_400_000

const offsetOf = (timeZone: string) => {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone, timeZoneName: 'longOffset' })
  return (at: number) => format.formatToParts(at).find(({ type }) => type === 'timeZoneName')!.value
}
