export const median = (values: readonly number[]): number => percentile(values, 50)

/** The smallest value that at least `percent` of the values do not exceed; with 50 and an even count, the mean of the two in the middle. */
export const percentile = (values: readonly number[], percent: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  if (sorted.length === 0) return Number.NaN
  if (percent === 50 && sorted.length % 2 === 0) return (sorted[sorted.length / 2 - 1]! + sorted[sorted.length / 2]!) / 2
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!
}

/** `12.3–15.0 in 5 rounds`: how far the rounds lay apart. */
export const spread = (values: readonly number[], digits = 0): string =>
  `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)} in ${values.length} rounds`
