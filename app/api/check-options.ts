import { BgtaskError } from '../errors.ts'
import type { CallerTransaction } from '../store/database.ts'
import type { OnConflict } from '../store/insert-task.ts'
import { nearestNames } from '../task/nearest-names.ts'
import { EXEC_TYPE_FOREVER, EXEC_TYPE_ONCE, type ExecType, taskDefaults } from '../task/task.ts'
import { anyOf, type Sentence, told } from '../task/told.ts'
import { checkText } from './check-json.ts'
import { showValue } from './show-value.ts'

/** What may be said about a task besides its action and params. */
export interface TaskOptions {
  /** ONCE (default), or FOREVER: kept up for good. */
  execType?: ExecType
  /** Free text to group by; at most 64 characters. */
  type?: string
  /** Free text: who wanted it; at most 64 characters. */
  creator?: string
  /** When a ONCE task is due: a Date, milliseconds since 1970, or ISO 8601 text with its zone (`2026-11-21T08:00:00+01:00`). Default now. */
  runAt?: Date | number | string | null
  /** The same, from now on. */
  delayMs?: number | null
  /** -1000 to 1000, lower first. Default 0. */
  priority?: number
  /** Only one task that is not final has this key; at most 255 characters. */
  unique?: string | null
  /**
   * What happens when another task has the key. Default `keep`: that one is returned. `replace`: it is cancelled, and this one waits until
   * its run has ended. `keepLast`: this one waits for its end, in place of one that waits already; what has not begun is overwritten.
   * `reject`: refused with `conflict`.
   */
  onConflict?: OnConflict
  /** Tries of a ONCE task before it is failed, 1 to 1000. Default: the action's, else 1. */
  maxAttempts?: number
  /** A run that takes longer is stopped, 1 ms to 24 days; null: no limit. Default: the action's, else none. */
  timeoutMs?: number | null
  /** Between asking a run to stop and making it, 0 to 1 hour. Default: the action's, else 10 s. */
  graceMs?: number
  /** false: a run that died without an outcome is not run again (at most once). Default true. */
  rerunAfterCrash?: boolean
  /** The caller's own Kysely transaction on the same database: the task is there when it commits, and only then. */
  trx?: CallerTransaction | null
}
export type { OnConflict }

export interface CheckedOptions {
  execType: ExecType
  type: string
  creator: string
  runAt: number
  uniqueKey: string | null
  onConflict: OnConflict
  priority: number
  maxAttempts: number
  timeoutMs: number | null
  graceMs: number
  rerunAfterCrash: boolean
  trx: CallerTransaction | undefined
}

/** What an action says of its own limits; null where it says nothing. */
export type ActionLimits = { maxAttempts: number | null; timeoutMs: number | null; graceMs: number | null }

const dayMs = 86_400_000

/** The least and the most that each number may be. */
export const optionBounds = {
  delayMs: [0, 3650 * dayMs],
  priority: [-1000, 1000],
  maxAttempts: [1, 1000],
  timeoutMs: [1, 24 * dayMs],
  graceMs: [0, 3_600_000],
} as const

/** @throws BgtaskError `refused`, naming the option, what was given and what is allowed */
export const checkOptions = (given: unknown, limits: ActionLimits, now: number): CheckedOptions => {
  const options = asOptions(given)
  const execType = oneOf('execType', options.execType, [EXEC_TYPE_ONCE, EXEC_TYPE_FOREVER], EXEC_TYPE_ONCE)
  const uniqueKey = options.unique == null ? null : text('unique', options.unique, 1, 255)
  if (options.onConflict !== undefined && uniqueKey === null) {
    throw refused(
      told`onConflict is ${showValue(options.onConflict)} but there is no unique key; give unique as well, or leave onConflict out.`,
    )
  }
  if (options.onConflict === 'keepLast' && execType === EXEC_TYPE_FOREVER)
    throw refused(
      told`onConflict is "keepLast" for a FOREVER task, which no other follows, since it does not end; use keep, replace or reject.`,
    )
  return {
    execType,
    type: text('type', options.type ?? taskDefaults.type, 0, 64),
    creator: text('creator', options.creator ?? taskDefaults.creator, 0, 64),
    runAt: dueTime(options, execType, now),
    uniqueKey,
    onConflict: oneOf('onConflict', options.onConflict, ['replace', 'keep', 'keepLast', 'reject'], 'keep'),
    priority: whole('priority', options.priority) ?? taskDefaults.priority,
    maxAttempts: whole('maxAttempts', options.maxAttempts) ?? limits.maxAttempts ?? taskDefaults.maxAttempts,
    timeoutMs: options.timeoutMs === null ? null : (whole('timeoutMs', options.timeoutMs) ?? limits.timeoutMs ?? taskDefaults.timeoutMs),
    graceMs: whole('graceMs', options.graceMs) ?? limits.graceMs ?? taskDefaults.graceMs,
    rerunAfterCrash: trueOrFalse('rerunAfterCrash', options.rerunAfterCrash, taskDefaults.rerunAfterCrash),
    trx: transaction(options.trx),
  }
}

/** Text of 0 or more characters, as people count them. */
export const text = (field: string, given: unknown, least: number, most: number): string => {
  if (typeof given !== 'string') throw refused(told`${field} is ${showValue(given)}; it must be text of ${least} to ${most} characters.`)
  checkText(given, field)
  const length = given.length > 2 * most ? given.length : [...given].length
  if (length >= least && length <= most) return given
  throw refused(told`${field} is ${length} characters long (${showValue(given)}); allowed are ${least} to ${most}.`)
}

/** ISO 8601 with a zone, milliseconds or a Date, as milliseconds. */
export const moment = (field: string, given: unknown): number => {
  const at =
    given instanceof Date
      ? given.getTime()
      : typeof given === 'string'
        ? isoTime(given)
        : typeof given === 'number'
          ? Math.round(given)
          : Number.NaN
  if (Number.isInteger(at) && at >= 0 && at <= lastMoment) return at
  throw refused(
    told`${field} is ${given instanceof Date ? told`an invalid or impossible Date` : showValue(given)}; allowed are a Date, milliseconds since 1970, or a date and time with its zone like 2026-11-21T08:00:00Z or 2026-11-21T08:00:00+01:00, up to the year 9999.`,
  )
}

const lastMoment = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

const names = Object.keys({
  execType: 0,
  type: 0,
  creator: 0,
  runAt: 0,
  delayMs: 0,
  priority: 0,
  unique: 0,
  onConflict: 0,
  maxAttempts: 0,
  timeoutMs: 0,
  graceMs: 0,
  rerunAfterCrash: 0,
  trx: 0,
} satisfies Record<keyof TaskOptions, 0>)

type Given = { [Name in keyof TaskOptions]?: unknown }

const asOptions = (given: unknown): Given => {
  if (given === undefined || given === null) return {}
  if (typeof given === 'string') return { execType: given }
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw refused(told`The third argument is ${showValue(given)}; allowed are EXEC_TYPE_ONCE, EXEC_TYPE_FOREVER, or an object of options.`)
  }
  const unknown = Object.keys(given).find(name => !names.includes(name))
  if (unknown === undefined) return given
  const like = nearestNames(unknown, names)
  throw refused(
    told`${showValue(unknown)} is no option of a task; ${like.length ? told`did you mean ${anyOf(like)}?` : told`there are ${names.join(', ')}.`}`,
  )
}

const dueTime = ({ runAt, delayMs }: Given, execType: ExecType, now: number): number => {
  if (runAt != null && delayMs != null) throw refused(told`Both runAt and delayMs are given; allowed is one of them.`)
  const name = runAt == null ? 'delayMs' : 'runAt'
  if ((runAt != null || delayMs != null) && execType === EXEC_TYPE_FOREVER) {
    throw refused(told`${name} is given for a FOREVER task, which starts at once; leave it out, or make it ONCE.`)
  }
  if (delayMs != null) return now + whole('delayMs', typeof delayMs === 'number' ? Math.round(delayMs) : delayMs)!
  return runAt == null ? now : moment('runAt', runAt)
}

const isoPattern = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/i

// Date.parse takes 30 February for 2 March; a date that is none is a mistake.
const isoTime = (given: string): number => {
  const found = isoPattern.exec(given)
  if (!found) return Number.NaN
  const [year, month, day] = [Number(found[1]), Number(found[2]), Number(found[3])]
  if (new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== day) return Number.NaN
  return Date.parse(
    given
      .toUpperCase()
      .replace(',', '.')
      .replace(/([+-]\d{2})(\d{2})$/, '$1:$2'),
  )
}

const oneOf = <Value extends string>(field: string, given: unknown, allowed: readonly Value[], fallback: Value): Value => {
  if (given === undefined) return fallback
  const found = allowed.find(value => value === given)
  if (found !== undefined) return found
  const like = typeof given === 'string' ? nearestNames(given, allowed) : []
  throw refused(
    told`${field} is ${showValue(given)}; allowed are ${allowed.join(', ')}.${like.length === 1 ? told` Did you mean ${like[0]!}?` : ''}`,
  )
}

const whole = (field: keyof typeof optionBounds, given: unknown): number | undefined => {
  if (given === undefined) return undefined
  const [least, most] = optionBounds[field]
  if (Number.isInteger(given) && (given as number) >= least && (given as number) <= most) return given as number
  throw refused(told`${field} is ${showValue(given)}; allowed are whole numbers from ${least} to ${most}.`)
}

const trueOrFalse = (field: string, given: unknown, fallback: boolean): boolean => {
  if (given === undefined) return fallback
  if (typeof given === 'boolean') return given
  throw refused(told`${field} is ${showValue(given)}; allowed are true and false.`)
}

const transaction = (given: unknown): CallerTransaction | undefined => {
  if (given === undefined || given === null) return undefined
  if (typeof given === 'object' && (given as { isTransaction?: unknown }).isTransaction === true) return given as CallerTransaction
  throw refused(told`trx is ${showValue(given)}; it must be a Kysely transaction that has begun (db.transaction().execute(trx => ...)).`)
}

const refused = (sentence: Sentence) => new BgtaskError('refused', sentence)
