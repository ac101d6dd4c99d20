import { moment } from '../api/check-options.ts'
import { BgtaskError } from '../errors.ts'
import { parseDuration } from './duration.ts'

/**
 * What --at and --in say. @returns milliseconds since 1970; null when neither is given
 * @throws BgtaskError `usage`
 */
export const dueTime = (given: { at?: string; in?: string }, now: number): number | null => {
  if (given.at !== undefined && given.in !== undefined)
    throw new BgtaskError('usage', 'Both --at and --in are given; give one of them: when the task is due.')
  if (given.in !== undefined) return now + parseDuration('--in', given.in, { most: '3650d' })
  return given.at === undefined ? null : at(given.at)
}

const at = (given: string): number => {
  try {
    return moment('--at', given)
  } catch (error) {
    if (!(error instanceof BgtaskError)) throw error
    const sentence = `--at is ${JSON.stringify(given.slice(0, 60))}; write date, time and zone, like 2026-11-21T08:00:00Z or 2026-11-21T08:00:00+01:00. How long from now is said by --in, like --in 30m.`
    throw new BgtaskError('usage', sentence, { cause: error })
  }
}
