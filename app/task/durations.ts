/**
 * How often something took how long: counts by size, where the size `n` holds what is near to 2^(n/8) microseconds. Sizes lie 9 % apart, so a
 * percentile read from them is off by 4.5 % at most, and the counts of minutes add up to those of an hour, which percentiles do not.
 */
export type Durations = Record<number, number>

/** Counts one more. @param ms from 0 */
export const noteDuration = (durations: Durations, ms: number): void => {
  const size = Math.max(0, Math.round(8 * Math.log2(ms * 1_000)))
  durations[size] = (durations[size] ?? 0) + 1
}

export const addDurations = (into: Durations, more: Durations): void => {
  for (const [size, count] of Object.entries(more)) into[Number(size)] = (into[Number(size)] ?? 0) + count
}

/**
 * @param percent above 0, at most 100
 * @returns milliseconds that so many percent took at most; null when there was none
 */
export const percentileMs = (durations: Durations, percent: number): number | null => {
  const sizes = Object.entries(durations)
    .map(([size, count]) => ({ size: Number(size), count }))
    .sort((a, b) => a.size - b.size)
  const wanted = (sizes.reduce((sum, { count }) => sum + count, 0) * percent) / 100
  let sum = 0
  for (const { size, count } of sizes) {
    sum += count
    if (sum >= wanted) return 2 ** (size / 8) / 1_000
  }
  return null
}

/** As a row keeps them: `133:600 140:2`. */
export const durationsText = (durations: Durations): string =>
  Object.entries(durations)
    .map(([size, count]) => `${size}:${count}`)
    .join(' ')

/** @param text as durationsText makes it; what is not is left out */
export const readDurations = (text: string): Durations => {
  const durations: Durations = {}
  for (const [, size, count] of text.matchAll(/(?<!\S)(\d{1,3}):(\d{1,10})(?!\S)/g)) durations[Number(size)] = Number(count)
  return durations
}
