import { BgtaskError } from '../errors.ts'
import { ring } from '../runs/doorbell.ts'
import { changeSchedule, setScheduleWanted } from '../store/change-schedule.ts'
import { findSchedule } from '../store/find-schedule.ts'
import { insertSchedule } from '../store/insert-schedule.ts'
import { listSchedules } from '../store/list-schedules.ts'
import { makeByHand } from '../store/make-due.ts'
import { removeSchedule as storeRemove } from '../store/remove-schedule.ts'
import { nextDue } from '../task/due-times.ts'
import { nearestNames } from '../task/nearest-names.ts'
import type { DueRule, MadeFrom, Schedule } from '../task/schedule.ts'
import type { Task } from '../task/task.ts'
import { anyOf, told } from '../task/told.ts'
import { type Actor, audited } from './audited.ts'
import type { Background } from './background.ts'
import { type CheckedSchedule, checkSchedule, checkScheduleName } from './check-schedule.ts'
import { requireReachOfTask } from './command-reach.ts'
import type { ScheduleOptions } from './schedule-options.ts'

type Tools = Pick<Background, 'config' | 'db' | 'catalog'>

/**
 * The application, or a program with a token, declares a schedule, at each of its starts: what is declared already changes nothing, also where people
 * changed it on a page since; a declaration that differs from the last one is applied. A pause stays. The audit tells what people and programs
 * do, so it has a row of this only with `who`.
 * @param who.mayChange asked of the one that is there, before it is told or changed: throws when it is none of the caller's business
 * @throws BgtaskError `refused`; `forbidden`
 */
export const declareSchedule = async (
  tools: Tools,
  givenName: string,
  options: ScheduleOptions,
  who?: Person & { mayChange: (there: Schedule) => void },
): Promise<Declared> => {
  const name = checkScheduleName(givenName)
  const now = Date.now()
  const checked = await checkSchedule(tools.config, await tools.catalog(), options, { now, ...(who ? { actor: who.actor } : {}) })
  const noted = (act: string, detail: string, work: () => Promise<Schedule>) =>
    who ? audited(tools.db, who.actor, { act, subject: name, detail }, work) : work()
  const { by: madeBy, madeFrom } = who ?? { by: 'the application', madeFrom: 'code' as const }
  for (let tries = 0; tries < 5; tries++) {
    const there = await findSchedule(tools.db, { name })
    if (there) who?.mayChange(there)
    if (there?.declared === checked.fingerprint) return { schedule: there, added: false, changed: false }
    try {
      if (there) {
        const schedule = await noted('schedule-changed', `${inWords(checked)}; before: ${inWords(there)}`, async () => {
          const change = { ...changeOf(there, checked, now), declared: checked.fingerprint, editedBy: null }
          if (!(await changeSchedule(tools.db, there, change, now))) throw changedMeanwhile(name)
          return rung(tools, there)
        })
        return { schedule, added: false, changed: true }
      }
      const schedule = await noted('schedule-added', inWords(checked), async () => {
        const wish = { ...checked, name, madeBy, madeFrom, declared: checked.fingerprint }
        const made = await insertSchedule(tools.db, wish, now)
        if (!made.added) throw changedMeanwhile(name)
        ring(tools.config.runtime)
        return made.schedule
      })
      return { schedule, added: true, changed: true }
    } catch (error) {
      // Somebody else declares, or edits, it in this very moment: what is there now is looked at again.
      if (!(error instanceof BgtaskError && error.code === 'busy')) throw error
    }
  }
  throw changedMeanwhile(name)
}

export interface Declared {
  schedule: Schedule
  added: boolean
  /** false: it was declared so already. */
  changed: boolean
}

/** Whatever it says by now. @returns false when there is none of that name */
export const dropSchedule = async (tools: Tools, name: string): Promise<boolean> => {
  for (let tries = 0; tries < 5; tries++) {
    const there = await findSchedule(tools.db, { name: checkScheduleName(name) })
    const became = there ? await storeRemove(tools.db, there) : 'gone'
    if (became === 'gone') return false
    if (became === 'changed') continue
    ring(tools.config.runtime)
    return true
  }
  throw changedMeanwhile(name)
}

/** All of them, by name. */
export const allSchedules = async ({ db }: Pick<Tools, 'db'>): Promise<Schedule[]> => {
  const all: Schedule[] = []
  for (;;) {
    const after = all.at(-1)?.name
    const page = await listSchedules(db, { limit: 500, ...(after === undefined ? {} : { after }) })
    all.push(...page)
    if (page.length < 500) return all
  }
}

/** Who acts, as the audit and the schedule name them. */
export interface Person {
  by: string
  actor: Actor
  madeFrom: MadeFrom
}

/** @throws BgtaskError `refused`; `conflict` when there is one of that name */
export const makeSchedule = async (tools: Tools, givenName: string, options: ScheduleOptions, who: Person): Promise<Schedule> => {
  const name = checkScheduleName(givenName)
  const now = Date.now()
  const checked = await checkSchedule(tools.config, await tools.catalog(), options, { now, actor: who.actor })
  if (await findSchedule(tools.db, { name })) throw nameTaken(name)
  return audited(tools.db, who.actor, { act: 'schedule-added', subject: name, detail: inWords(checked) }, async () => {
    const { schedule, added } = await insertSchedule(
      tools.db,
      { ...checked, name, madeBy: who.by, madeFrom: who.madeFrom, declared: null },
      now,
    )
    if (!added) throw nameTaken(name)
    ring(tools.config.runtime)
    return schedule
  })
}

/** What is said of it is replaced as a whole. @param seen as it was read: a change that was made since is not overwritten @throws BgtaskError `refused`, `busy` */
export const editSchedule = async (tools: Tools, seen: Schedule, options: ScheduleOptions, who: Person): Promise<Schedule> => {
  const now = Date.now()
  const checked = await checkSchedule(tools.config, await tools.catalog(), options, { now, actor: who.actor })
  const detail = `${inWords(checked)}; before: ${inWords(seen)}`
  return audited(tools.db, who.actor, { act: 'schedule-changed', subject: seen.name, detail }, async () => {
    if (!(await changeSchedule(tools.db, seen, { ...changeOf(seen, checked, now), editedBy: who.by }, now)))
      throw changedMeanwhile(seen.name)
    return rung(tools, seen)
  })
}

/** It makes nothing until it is resumed; what is due until then is not made up for. */
export const pauseSchedule = (tools: Tools, seen: Schedule, who: Pick<Person, 'actor'>): Promise<Schedule> =>
  setWanted(tools, seen, who, 'down')

/** It goes on with its next time from now on. */
export const resumeSchedule = (tools: Tools, seen: Schedule, who: Pick<Person, 'actor'>): Promise<Schedule> =>
  setWanted(tools, seen, who, 'up')

/** Makes one task now, also of a paused one. Its times stay as they are. @throws BgtaskError `forbidden`: a command that this one may not run */
export const runSchedule = async (
  tools: Tools,
  seen: Schedule,
  who: Pick<Person, 'actor' | 'by'>,
): Promise<{ task: Task; added: boolean; replaced: number | null }> => {
  await requireReachOfTask(tools.config, seen, who.actor.reach)
  return audited(tools.db, who.actor, { act: 'schedule-run', subject: seen.name, detail: seen.action }, async () => {
    const made = await makeByHand(tools.db, seen, who.by, Date.now())
    ring(tools.config.runtime)
    return made
  })
}

/**
 * Its tasks stay.
 * @param seen as it was read, and as it was found to be the caller's to remove: one that was changed since stays
 * @throws BgtaskError `not-found`; `busy`
 */
export const removeSchedule = (tools: Tools, seen: Schedule, who: Pick<Person, 'actor'>): Promise<void> =>
  audited(tools.db, who.actor, { act: 'schedule-removed', subject: seen.name, detail: inWords(seen) }, async () => {
    const became = await storeRemove(tools.db, seen)
    if (became === 'gone') throw notFound(seen.name)
    if (became === 'changed') throw changedMeanwhile(seen.name)
    ring(tools.config.runtime)
  })

/** @throws BgtaskError `not-found`, with the names that are like it */
export const existingSchedule = async ({ db }: Pick<Tools, 'db'>, which: { id: number } | { name: string }): Promise<Schedule> => {
  const schedule = await findSchedule(db, which)
  if (schedule) return schedule
  if ('id' in which) throw new BgtaskError('not-found', told`Schedule ${which.id} does not exist.`)
  const names = (await allSchedules({ db })).map(({ name }) => name)
  throw notFound(which.name, nearestNames(which.name, names))
}

const setWanted = async (tools: Tools, seen: Schedule, { actor }: Pick<Person, 'actor'>, wanted: 'up' | 'down'): Promise<Schedule> => {
  const now = Date.now()
  if (seen.wanted === wanted) return seen
  // Whoever may add tasks may keep any from being made, but not let a command run that is not theirs.
  if (wanted === 'up') await requireReachOfTask(tools.config, seen, actor.reach)
  const act = wanted === 'up' ? 'schedule-resumed' : 'schedule-paused'
  return audited(tools.db, actor, { act, subject: seen.name, detail: inWords(seen) }, async () => {
    const nextAt = wanted === 'up' ? nextDue(seen.rule, now) : null
    if (!(await setScheduleWanted(tools.db, seen, { wanted, nextAt }, now))) throw changedMeanwhile(seen.name)
    return rung(tools, seen)
  })
}

/** The same times go on as they did: what is said of the tasks changes no due time. */
const changeOf = (there: Schedule, checked: CheckedSchedule, now: number) => {
  const rule = isSameRule(there.rule, checked.rule) ? there.rule : checked.rule
  const nextAt = there.wanted === 'down' ? null : rule === there.rule && there.nextAt !== null ? there.nextAt : nextDue(rule, now)
  return { ...checked, rule, nextAt }
}

const isSameRule = (a: DueRule, b: DueRule) =>
  'cron' in a ? 'cron' in b && a.cron === b.cron && a.timeZone === b.timeZone : !('cron' in b) && a.everyMs === b.everyMs

const inWords = ({ rule, action }: Pick<Schedule, 'rule' | 'action'>) =>
  `${'cron' in rule ? `${rule.cron} (${rule.timeZone})` : `every ${rule.everyMs} ms`}, ${action}`

const rung = (tools: Tools, { id }: Schedule): Promise<Schedule> => {
  ring(tools.config.runtime)
  return existingSchedule(tools, { id })
}

const notFound = (name: string, like: readonly string[] = []) =>
  new BgtaskError(
    'not-found',
    told`There is no schedule ${JSON.stringify(name.slice(0, 64))}${like.length > 0 ? told`; did you mean ${anyOf(like)}?` : '.'}`,
  )
const nameTaken = (name: string) =>
  new BgtaskError('conflict', told`There is a schedule ${JSON.stringify(name)} already; take another name, or change that one.`)
const changedMeanwhile = (name: string) =>
  new BgtaskError('busy', told`The schedule ${JSON.stringify(name)} was changed by somebody else meanwhile; look at it again.`)
