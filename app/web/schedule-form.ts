import { checkRule } from '../api/check-schedule.ts'
import type { ScheduleOptions } from '../api/schedule-options.ts'
import type { ActionEntry } from '../catalog/catalog.ts'
import { BgtaskError } from '../errors.ts'
import { newestDue, upcoming } from '../task/due-times.ts'
import { nextOffsetChange } from '../task/offset-change.ts'
import { type DueRule, leastEveryMs, mostEveryMs, type Schedule } from '../task/schedule.ts'
import type { Language } from '../texts/format.ts'
import { formatZoned } from '../texts/format-zoned.ts'
import { translate } from '../texts/translate.ts'
import { numberField } from './number-field.ts'
import { readRerun, rerunFields } from './rerun-field.ts'

const unitsMs = { seconds: 1_000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const
export const everyUnits = Object.keys(unitsMs)

/** What stands in the form at first. */
export const scheduleValues = (entry: ActionEntry, given: Record<string, string>) => {
  const text = (name: string, standard: string) => given[name] ?? standard
  const inSeconds = (ms: number | null) => (ms === null ? '' : String(ms / 1000))
  return {
    name: text('name', ''),
    when: text('when', 'cron'),
    cron: text('cron', '30 2 * * *'),
    time_zone: text('time_zone', 'UTC'),
    every: text('every', '15'),
    every_unit: text('every_unit', 'minutes'),
    missed: text('missed', 'once'),
    overlap: text('overlap', 'allow'),
    type: text('type', ''),
    creator: text('creator', ''),
    priority: text('priority', '0'),
    unique: text('unique', ''),
    on_conflict: text('on_conflict', 'keep'),
    max_attempts: text('max_attempts', String(entry.maxAttempts ?? 1)),
    timeout_s: text('timeout_s', inSeconds(entry.timeoutMs)),
    grace_s: text('grace_s', inSeconds(entry.graceMs)),
    rerun: readRerun(given) === false ? '' : 'on',
  }
}

/** The fields of the form that say what a schedule says. Its params are apart. */
export const fieldsOfSchedule = ({ rule, missed, overlap, options }: Schedule): Record<string, string> => ({
  ...('cron' in rule ? { when: 'cron', cron: rule.cron, time_zone: rule.timeZone } : { when: 'every', ...intervalFields(rule.everyMs) }),
  missed,
  overlap,
  type: options.type,
  creator: options.creator,
  priority: String(options.priority),
  unique: options.uniqueKey ?? '',
  on_conflict: options.onConflict,
  max_attempts: String(options.maxAttempts),
  timeout_s: options.timeoutMs === null ? '' : String(options.timeoutMs / 1000),
  grace_s: String(options.graceMs / 1000),
  ...rerunFields(options),
})

/** What the form says of when. @throws BgtaskError `refused` */
export const readWhen = (fields: Record<string, string>, language: Language): Pick<ScheduleOptions, 'cron' | 'everyMs' | 'timeZone'> => {
  if (fields.when !== 'every') return { cron: fields.cron ?? '', timeZone: (fields.time_zone ?? '').trim() || 'UTC' }
  const unit = unitsMs[fields.every_unit as keyof typeof unitsMs] ?? unitsMs.minutes
  const every = Number(fields.every)
  if ((fields.every ?? '').trim() === '' || !Number.isFinite(every))
    throw new BgtaskError('refused', translate(language, 'schedules.everyMissing', { given: (fields.every ?? '').slice(0, 40) }))
  const everyMs = Math.round(every * unit)
  if (everyMs < leastEveryMs || everyMs > mostEveryMs) throw new BgtaskError('refused', translate(language, 'schedules.everyRange'))
  return { everyMs }
}

/** All but its params. @throws BgtaskError `refused` */
export const readScheduleOptions = (fields: Record<string, string>, action: string, language: Language): ScheduleOptions => {
  const given = (name: string) => (fields[name] ?? '').trim()
  const [priority, maxAttempts] = [numberField(fields, 'priority'), numberField(fields, 'max_attempts')]
  const graceMs = numberField(fields, 'grace_s')
  const rerunAfterCrash = readRerun(fields)
  return {
    ...readWhen(fields, language),
    action,
    missed: (given('missed') || 'once') as Schedule['missed'],
    overlap: (given('overlap') || 'allow') as Schedule['overlap'],
    type: given('type'),
    creator: given('creator'),
    ...(given('unique') === ''
      ? {}
      : { unique: given('unique'), onConflict: (given('on_conflict') || 'keep') as NonNullable<ScheduleOptions['onConflict']> }),
    ...(priority === undefined ? {} : { priority }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    timeoutMs: numberField(fields, 'timeout_s') ?? null,
    ...(graceMs === undefined ? {} : { graceMs }),
    ...(rerunAfterCrash === undefined ? {} : { rerunAfterCrash }),
  }
}

/** The next times, and those around the next day on which the clock is set. */
export const previewOf = (rule: DueRule, language: Language, now: number) => {
  const zone = zoneOf(rule)
  const shown = (at: number) => ({ at, text: formatZoned(language, at, zone) })
  const times = upcoming(rule, now, 5).map(shown)
  const change = 'cron' in rule && times.length > 0 ? nextOffsetChange(rule.timeZone, now) : null
  return {
    rule,
    zone,
    times,
    change: change === null ? null : shown(change),
    around: change === null ? [] : [...newestDue(rule, change - 1, 2).filter(at => at > now), ...upcoming(rule, change - 1, 3)].map(shown),
  }
}

/** The same, of what the form says; null when that cannot be read. */
export const previewOfFields = (fields: Record<string, string>, language: Language, now: number) => {
  try {
    return previewOf(checkRule(readWhen(fields, language), now), language, now)
  } catch (error) {
    if (error instanceof BgtaskError) return null
    throw error
  }
}

/** The clock that times are shown by; an interval has none of its own. */
export const zoneOf = (rule: DueRule): string => ('cron' in rule ? rule.timeZone : 'UTC')

const intervalFields = (everyMs: number) => {
  const [unit, ms] = Object.entries(unitsMs).findLast(([, ms]) => everyMs % ms === 0) ?? ['seconds', 1_000]
  return { every: String(everyMs / ms), every_unit: unit }
}
