import { text as readAll } from 'node:stream/consumers'
import { checkRule, checkScheduleName } from '../api/check-schedule.ts'
import type { ScheduleOptions } from '../api/schedule-options.ts'
import {
  allSchedules,
  existingSchedule,
  makeSchedule,
  pauseSchedule,
  removeSchedule,
  resumeSchedule,
  runSchedule,
} from '../api/schedules.ts'
import { showSchedule } from '../api/show-schedule.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { findSchedule } from '../store/find-schedule.ts'
import { upcoming } from '../task/due-times.ts'
import type { DueRule, Schedule } from '../task/schedule.ts'
import { formatZoned } from '../texts/format-zoned.ts'
import { parseParams, taskOptions } from './add.ts'
import { asUsage } from './as-usage.ts'
import { actor, commandLine } from './audited.ts'
import { parseDuration } from './duration.ts'
import { wholeNumber, withBackground } from './open.ts'
import { duration, formatTimeOrDash, print, printJson } from './print.ts'
import { formatTable } from './table.ts'

export interface ScheduleAddOptions {
  cron?: string
  zone?: string
  every?: string
  missed?: string
  overlap?: string
  type?: string
  creator?: string
  unique?: string
  onConflict?: string
  priority?: string
  maxAttempts?: string
  timeout?: string
  grace?: string
  json?: boolean
}

export const runScheduleList = async ({ json }: { json?: boolean }): Promise<number> =>
  withBackground(async background => {
    const schedules = (await allSchedules(background)).map(schedule => showSchedule(background.config, schedule))
    if (json) printJson(schedules)
    else if (schedules.length === 0)
      print("There is no schedule yet. An example: schedule add nightly demo/greet --cron '30 2 * * *' --zone Europe/Berlin")
    else print(formatTable(columns, schedules))
    return exitCodes.done
  })

export const runScheduleAdd = async (
  name: string,
  action: string,
  json: string | undefined,
  given: ScheduleAddOptions,
): Promise<number> => {
  if (given.cron === undefined && given.every === undefined)
    throw new BgtaskError('usage', "Say when: --cron '30 2 * * *' for every day at 02:30, or --every 15m.")
  if (given.cron !== undefined && given.every !== undefined)
    throw new BgtaskError('usage', 'Both --cron and --every are given; a schedule has one of them.')
  if (given.zone !== undefined && given.every !== undefined)
    throw new BgtaskError('usage', '--zone is about the clock of a cron text, and --every reads no clock; leave it out.')
  if (given.onConflict !== undefined && given.unique === undefined)
    throw new BgtaskError('usage', '--on-conflict is about a unique key; give --unique as well, or leave it out.')
  asUsage(() => checkScheduleName(name))
  const said = toOptions(given)
  asUsage(() => checkRule(said, Date.now()))
  const params = json === undefined ? {} : parseParams(json === '-' ? await readAll(process.stdin) : json)
  const options = { ...said, action, params } as ScheduleOptions
  return withBackground(async background => {
    const schedule = await makeSchedule(background, name, options, { by: actor(), actor: commandLine(), madeFrom: 'command-line' })
    if (given.json) printJson(showSchedule(background.config, schedule))
    else print(`Schedule ${schedule.name} is added: ${schedule.action}, ${whenOf(schedule.rule)}. ${nextOf(schedule)}`)
    return exitCodes.done
  })
}

export const runScheduleAct = async (
  verb: 'pause' | 'resume' | 'run' | 'remove',
  name: string,
  { json }: { json?: boolean },
): Promise<number> =>
  withBackground(async background => {
    const seen = await existingSchedule(background, { name: asUsage(() => checkScheduleName(name)) })
    const who = { by: actor(), actor: commandLine() }
    if (verb === 'run') {
      const made = await runSchedule(background, seen, who)
      if (json) printJson({ ...redactionOf(background.config).task(made.task), added: made.added, replaced: made.replaced })
      else if (made.added) print(`Task ${made.task.id} is added: ${seen.action}.`)
      else print(`Task ${made.task.id} has the unique key already and is kept; nothing was added.`)
      return exitCodes.done
    }
    if (verb === 'remove') {
      await removeSchedule(background, seen, who)
      if (json) printJson(showSchedule(background.config, seen))
      else print(`Schedule ${seen.name} is removed; its tasks stay.${seen.declared === null ? '' : ` ${declaredAgain}`}`)
      return exitCodes.done
    }
    const schedule = await (verb === 'pause' ? pauseSchedule : resumeSchedule)(background, seen, who)
    if (json) printJson(showSchedule(background.config, schedule))
    else if (verb === 'pause') print(`Schedule ${schedule.name} is paused: it makes nothing until it is resumed.`)
    else print(`Schedule ${schedule.name} goes on. ${nextOf(schedule)}`)
    return exitCodes.done
  })

export const runScheduleNext = async (
  given: string,
  { zone, count, json }: { zone?: string; count: string; json?: boolean },
): Promise<number> => {
  const many = wholeNumber('--count', count, 1, 1_000)
  const rule = await ruleGiven(given, zone)
  const times = upcoming(rule, Date.now(), many)
  if (json) printJson(times.map(at => ({ at, time: inZone(rule, at) })))
  else if (times.length === 0) print('It never comes: there is no such day.')
  else for (const at of times) print(inZone(rule, at))
  return exitCodes.done
}

// Cron texts have blanks or an @ in them, names never.
const ruleGiven = async (given: string, zone: string | undefined): Promise<DueRule> => {
  if (/[\s@]/.test(given) || zone !== undefined) return asUsage(() => checkRule({ cron: given, timeZone: zone }, Date.now()))
  const found = await withBackground(({ db }) => findSchedule(db, { name: given }))
  return found ? found.rule : asUsage(() => checkRule({ cron: given, timeZone: zone }, Date.now()))
}

const inZone = (rule: DueRule, at: number) => formatZoned('en', at, 'cron' in rule ? rule.timeZone : 'UTC')

const nextOf = (schedule: Schedule) =>
  schedule.nextAt === null ? 'It has no further time.' : `It is next due on ${inZone(schedule.rule, schedule.nextAt)}.`

const declaredAgain = 'The application declares it, so it comes back at the next start; schedule pause keeps it away.'

const whenOf = (rule: DueRule) => ('cron' in rule ? `${rule.cron} (${rule.timeZone})` : `every ${duration(rule.everyMs)}`)

const toOptions = (given: ScheduleAddOptions) => ({
  ...(given.cron === undefined ? {} : { cron: given.cron }),
  ...(given.zone === undefined ? {} : { timeZone: given.zone }),
  ...(given.every === undefined ? {} : { everyMs: parseDuration('--every', given.every, { least: '1s', most: '366d' }) }),
  ...(given.missed === undefined ? {} : { missed: given.missed }),
  ...(given.overlap === undefined ? {} : { overlap: given.overlap }),
  ...taskOptions(given),
  ...(given.onConflict === undefined ? {} : { onConflict: given.onConflict }),
})

const columns = [
  { title: 'name', value: (schedule: Schedule) => schedule.name, flexible: true },
  { title: 'when', value: (schedule: Schedule) => whenOf(schedule.rule), flexible: true },
  { title: 'action', value: (schedule: Schedule) => schedule.action, flexible: true },
  { title: 'missed', value: (schedule: Schedule) => schedule.missed },
  {
    title: 'next',
    value: (schedule: Schedule) =>
      schedule.wanted === 'down' ? 'paused' : schedule.nextAt === null ? '-' : inZone(schedule.rule, schedule.nextAt),
  },
  { title: 'last', value: (schedule: Schedule) => formatTimeOrDash(schedule.lastAt) },
  { title: 'task', value: (schedule: Schedule) => (schedule.lastTaskId === null ? '-' : String(schedule.lastTaskId)), right: true },
]
