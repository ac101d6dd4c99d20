/*
 * Shapes of charts as SVG paths. A chart is as wide as it has slots, one for each span of time, and 100 high; the page stretches it to its place, so
 * no figure of pixels is in here.
 */

type Values = readonly (number | null)[]

/** A line through the middles of the slots; broken where there is no value, and a dash where one stands alone. */
export const linePath = (values: Values, most: number): string =>
  values
    .map((value, slot) => {
      if (value === null) return ''
      const before = values[slot - 1] ?? null
      const after = values[slot + 1] ?? null
      if (before === null && after === null) return `M${slot + 0.1} ${heightOf(value, most)}h0.8`
      return `${before === null ? 'M' : 'L'}${slot + 0.5} ${heightOf(value, most)}`
    })
    .join('')

/** A bar for each slot that has something, from the bottom up. */
export const barPath = (values: Values, most: number): string =>
  values
    .map((value, slot) => {
      if (!value) return ''
      const top = heightOf(value, most)
      return `M${slot + 0.1} 100V${top}h0.8V100z`
    })
    .join('')

/** Upright lines at these slots, which may be broken numbers. */
export const markPath = (slots: readonly number[]): string => slots.map(slot => `M${round(slot)} 0V100`).join('')

/** A point at the top of each of these lines, which the page draws as a head: it keeps its shape however the chart is stretched. */
export const headPath = (slots: readonly number[]): string => slots.map(slot => `M${round(slot)} 0h0`).join('')

/** The end of a scale: 1, 2 or 5 with noughts behind, at least as much as the highest value. 1 when there is none above 0. */
export const scaleOf = (values: Values): number => {
  const highest = Math.max(0, ...values.map(value => value ?? 0))
  if (highest === 0) return 1
  const unit = 10 ** Math.floor(Math.log10(highest))
  return [1, 2, 5, 10].map(times => times * unit).find(end => end >= highest * (1 - 1e-9)) ?? 10 * unit
}

/** From the top, since SVG counts downwards. What is there and nearly nothing is still to be seen. */
const heightOf = (value: number, most: number) => round(100 - Math.max(value > 0 ? 1.5 : 0, Math.min(100, (value / most) * 100)))

const round = (value: number) => Math.round(value * 10) / 10
