import type { Background } from '../api/background.ts'
import { loadConfig } from '../config.ts'
import { BgtaskError } from '../errors.ts'

/** Opens the background, brings the tables up to date, and closes it after the work. */
export const withBackground = async <Result>(work: (background: Background) => Promise<Result>): Promise<Result> => {
  const { openBackground } = await import('../api/background.ts')
  const background = await openBackground(await loadConfig())
  try {
    return await work(background)
  } finally {
    await background.close()
  }
}

/** A whole number given as an option. @throws BgtaskError `usage` */
export const wholeNumber = (name: string, given: string, least: number, most: number): number => {
  const value = /^-?\d+$/.test(given.trim()) ? Number(given) : Number.NaN
  if (value >= least && value <= most) return value
  throw new BgtaskError('usage', `${name} is ${JSON.stringify(given)}; allowed are whole numbers from ${least} to ${most}.`)
}
