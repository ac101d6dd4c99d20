import { BgtaskError } from '../errors.ts'

/** `30s`, `5m`, `1h30m`, `250ms`, `2d` as milliseconds. @throws BgtaskError `usage` */
export const parseDuration = (name: string, given: string): number => {
  const text = given.trim().toLowerCase()
  if (/^0+$/.test(text)) return 0
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|min|h|d)(?![a-z])/g)]
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) {
    throw new BgtaskError('usage', `${name} is ${JSON.stringify(given)}; allowed are durations like 250ms, 30s, 5m, 1h30m or 2d.`)
  }
  return Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitMs[unit as keyof typeof unitMs], 0))
}

const unitMs = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }
