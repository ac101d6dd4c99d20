import { BgtaskError } from '../errors.ts'

/**
 * `30s`, `5m`, `1h30m`, `250ms`, `2d` as milliseconds.
 * @param name of the option, for sentences
 * @param allowed from and to, written in the same way; `also` what else may stand there
 * @throws BgtaskError `usage`
 */
export const parseDuration = (
  name: string,
  given: string,
  { least = '0s', most, also }: { least?: string; most: string; also?: string },
): number => {
  const ms = read(given)
  const or = also === undefined ? '' : `, or ${also}`
  if (ms === null)
    throw new BgtaskError('usage', `${name} is ${JSON.stringify(given)}; allowed are durations like 250ms, 30s, 5m, 1h30m or 2d${or}.`)
  if (ms >= read(least)! && ms <= read(most)!) return ms
  throw new BgtaskError('usage', `${name} is ${JSON.stringify(given)}; allowed are durations from ${least} to ${most}${or}.`)
}

const read = (given: string): number | null => {
  const text = given.trim().toLowerCase()
  if (/^0+$/.test(text)) return 0
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|min|h|d)(?![a-z])/g)]
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) return null
  return Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitMs[unit as keyof typeof unitMs], 0))
}

const unitMs = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }
