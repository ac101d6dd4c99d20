import { createHash } from 'node:crypto'
import type { Catalog } from '../catalog/catalog.ts'
import type { CommandsConfig } from '../commands/load-commands.ts'
import { BgtaskError } from '../errors.ts'
import type { ScheduleWish } from '../store/schedule-rows.ts'
import { readCronText } from '../task/cron-text.ts'
import { nextDue } from '../task/due-times.ts'
import { nearestNames } from '../task/nearest-names.ts'
import { type DueRule, leastEveryMs, missedRules, mostEveryMs, overlapRules, type ScheduledOptions } from '../task/schedule.ts'
import { readTimeZone } from '../task/time-zone.ts'
import { anyOf, type Sentence, told } from '../task/told.ts'
import type { Actor } from './audited.ts'
import { checkTask } from './check-task.ts'
import { asCommandWish } from './command-wish.ts'
import type { ScheduleOptions } from './schedule-options.ts'
import { showValue } from './show-value.ts'
import type { TaskWish } from './store-tasks.ts'

export interface CheckedSchedule extends ScheduleWish {
  /** null: it never comes due. */
  nextAt: number | null
  /** A hash of all that was said: the same words give the same one. */
  fingerprint: string
}

/**
 * @param about.actor the person who asks; none: the application's own code does
 * @throws BgtaskError `refused`, in a sentence that names what is wrong and gives an example; `forbidden`: nothing is stored
 */
export const checkSchedule = async (
  config: CommandsConfig,
  catalog: Catalog,
  given: unknown,
  { now, actor }: { now: number; actor?: Actor },
): Promise<CheckedSchedule> => {
  const options = asOptions(given)
  const { cron, everyMs, timeZone, action, params, missed, overlap, ...ofTask } = options
  const rule = checkRule({ cron, everyMs, timeZone }, now)
  const nextAt = nextDue(rule, now)
  if (nextAt === null) throw refused(told`The cron text ${showValue(cron)} never comes: there is no such day.`)
  if (ofTask.onConflict === 'reject')
    throw refused(told`onConflict is reject, and a schedule has nobody to tell; allowed are keep, replace and keepLast.`)
  // A command is scheduled by those alone who may run it.
  const asked = await asCommandWish(config, { action, params, options: ofTask } as TaskWish, actor)
  const { task } = await checkTask(catalog, asked.action, asked.params, asked.options, { now })
  const wish: ScheduleWish = {
    rule,
    action: task.action,
    params: task.params,
    options: {
      type: task.type,
      creator: task.creator,
      priority: task.priority,
      uniqueKey: task.uniqueKey,
      onConflict: task.onConflict as ScheduledOptions['onConflict'],
      maxAttempts: task.maxAttempts,
      timeoutMs: task.timeoutMs,
      graceMs: task.graceMs,
      rerunAfterCrash: task.rerunAfterCrash,
    },
    missed: oneOf('missed', missed, missedRules, 'once'),
    overlap: oneOf('overlap', overlap, overlapRules, 'allow'),
  }
  return { ...wish, nextAt, fingerprint: fingerprintOf(wish) }
}

/** @throws BgtaskError `refused` */
export const checkScheduleName = (given: unknown): string => {
  if (typeof given !== 'string')
    throw refused(told`The name of the schedule is ${showValue(given)}; it must be text like nightly-clean-up.`)
  const name = given.trim().normalize('NFC')
  if (/^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{0,49}$/u.test(name) && !/^\d+$/.test(name)) return name
  throw refused(
    told`The name of the schedule is ${showValue(given)}; allowed are 1 to 50 letters, digits, dots, _ and -, with a letter among them, like nightly-clean-up.`,
  )
}

/**
 * When it is due, checked on its own: for a preview.
 * @throws BgtaskError `refused`
 */
export const checkRule = (given: { cron?: unknown; everyMs?: unknown; timeZone?: unknown }, now: number): DueRule => {
  const { cron, everyMs, timeZone } = given
  if (cron != null && everyMs != null) throw refused(told`Both cron and everyMs are given; a schedule has one of them.`)
  if (cron == null && everyMs == null)
    throw refused(
      told`Neither cron nor everyMs is given; write cron: "30 2 * * *" for every day at 02:30, or everyMs: 900000 for every 15 minutes.`,
    )
  if (everyMs != null) {
    if (timeZone != null && timeZone !== '')
      throw refused(told`timeZone is ${showValue(timeZone)} beside everyMs, which counts milliseconds and reads no clock; leave it out.`)
    if (typeof everyMs === 'number' && Number.isInteger(everyMs) && everyMs >= leastEveryMs && everyMs <= mostEveryMs)
      return { everyMs, anchorAt: Math.floor(now / 1_000) * 1_000 }
    throw refused(
      told`everyMs is ${showValue(everyMs)}; allowed are whole numbers from ${leastEveryMs} (1 second) to ${mostEveryMs} (366 days). What is needed more often is a loop: execForeverInterval.`,
    )
  }
  if (typeof cron !== 'string') throw refused(told`cron is ${showValue(cron)}; it must be text like "30 2 * * *".`)
  if (timeZone != null && typeof timeZone !== 'string')
    throw refused(told`timeZone is ${showValue(timeZone)}; it must be text like Europe/Berlin.`)
  const zone = readTimeZone(timeZone == null ? 'UTC' : timeZone)
  if ('fault' in zone) throw refused(zone.fault)
  const text = cron.trim().replace(/\s+/g, ' ')
  const times = readCronText(text, zone.timeZone)
  if ('fault' in times) throw refused(times.fault)
  return { cron: text, timeZone: zone.timeZone }
}

const fingerprintOf = ({ rule, ...rest }: ScheduleWish): string => {
  const when = 'cron' in rule ? [rule.cron, rule.timeZone] : [rule.everyMs]
  return createHash('sha256')
    .update(JSON.stringify([when, rest]))
    .digest('hex')
}

const names = Object.keys({
  cron: 0,
  everyMs: 0,
  timeZone: 0,
  action: 0,
  params: 0,
  missed: 0,
  overlap: 0,
  type: 0,
  creator: 0,
  priority: 0,
  unique: 0,
  onConflict: 0,
  maxAttempts: 0,
  timeoutMs: 0,
  graceMs: 0,
  rerunAfterCrash: 0,
} satisfies Partial<Record<keyof ScheduleOptions, 0>>)

type Given = { [Name in keyof ScheduleOptions]?: unknown }

const asOptions = (given: unknown): Given => {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw refused(told`The schedule is ${showValue(given)}; it must be an object like { cron: "30 2 * * *", action: "report/build" }.`)
  const unknown = Object.keys(given).find(name => !names.includes(name))
  if (unknown === undefined) return given
  if (unknown === 'execType') throw refused(told`execType is given; a schedule makes ONCE tasks only. A loop is added with addTask.`)
  if (unknown === 'runAt' || unknown === 'delayMs')
    throw refused(told`${unknown} is given; when its tasks are due is for cron or everyMs to say.`)
  if (unknown === 'trx') throw refused(told`trx is given; a schedule is not stored in a transaction of yours.`)
  const like = nearestNames(unknown, names)
  throw refused(
    told`${showValue(unknown)} is no option of a schedule; ${like.length ? told`did you mean ${anyOf(like)}?` : told`there are ${names.join(', ')}.`}`,
  )
}

const oneOf = <Value extends string>(field: string, given: unknown, values: readonly Value[], standard: Value): Value => {
  if (given == null) return standard
  const found = values.find(value => value === given)
  if (found !== undefined) return found
  throw refused(told`${field} is ${showValue(given)}; allowed are ${values.join(', ')}.`)
}

const refused = (sentence: Sentence) => new BgtaskError('refused', sentence)
