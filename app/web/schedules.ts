import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { checkRule } from '../api/check-schedule.ts'
import {
  editSchedule,
  existingSchedule,
  makeSchedule,
  type Person,
  pauseSchedule,
  removeSchedule,
  resumeSchedule,
  runSchedule,
} from '../api/schedules.ts'
import { showSchedule } from '../api/show-schedule.ts'
import type { ActionEntry } from '../catalog/catalog.ts'
import { ownFirst } from '../catalog/own-first.ts'
import { BgtaskError } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { prefillParams, restoreParams } from '../secrets/prefill.ts'
import { listSchedules } from '../store/list-schedules.ts'
import { tasksById } from '../store/tasks-by-id.ts'
import { missedRules, overlapRules, type Schedule } from '../task/schedule.ts'
import type { Json } from '../task/task.ts'
import { timeZones } from '../task/time-zone.ts'
import { told } from '../task/told.ts'
import type { Language } from '../texts/format.ts'
import { formatZoned } from '../texts/format-zoned.ts'
import { tell } from '../texts/tell.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { paramsShape, readKeptParams, schemaDrawn } from './kept-params.ts'
import { type Panel, redirectWith } from './panel.ts'
import { fieldsFromParams, paramsFields, readParams } from './params-form.ts'
import { isCommandSchedule } from './prove.ts'
import { everyUnits, fieldsOfSchedule, previewOfFields, readScheduleOptions, readWhen, scheduleValues, zoneOf } from './schedule-form.ts'
import { loadRuleWords } from './schedule-words.ts'
import { parseTaskId } from './task-id.ts'

const page = '/config/schedules'
const onPage = 50

/** Schedules: which there are, making and changing one, and what can be done with it. Whoever may add tasks may let them be added. */
export const registerSchedules = (app: FastifyInstance, panel: Panel) => {
  const { background } = panel
  const ofCommands = { config: { fresh: isCommandSchedule(panel) } }

  app.get(page, async (request, reply) => reply.page('schedules', await listModel(panel, request.language, fieldsOf(request.query).after)))

  app.get(`${page}/new`, async (request, reply) => {
    const { action } = fieldsOf(request.query)
    const entries = (await background.catalog()).entries
    const entry = entries.find(({ name, error }) => name === action && error === null)
    if (!entry)
      return reply.page('schedule-choice', {
        entries: ownFirst(entries.filter(({ execType }) => execType !== 'FOREVER')),
        asked: action ?? null,
      })
    return form(panel, request, reply, { entry, schedule: null, given: null })
  })

  app.post(page, ofCommands, async (request, reply) => {
    const fields = fieldsOf(request.body)
    const entry = await entryOf(panel, fields.action ?? '')
    return orForm(panel, request, reply, { entry, schedule: null, given: fields }, async () => {
      const options = {
        ...readScheduleOptions(fields, entry.name, request.language),
        params: readParams(schemaDrawn(entry, fields), fields),
      }
      const { name } = await makeSchedule(background, fields.name ?? '', options, personOf(request))
      return said(panel, request, reply, 'schedules.added', name)
    })
  })

  app.post(`${page}/preview`, async (request, reply) => {
    const fields = fieldsOf(request.body)
    const id = parseTaskId(fields.id ?? '')
    const schedule = id === null ? null : await existingSchedule(background, { id })
    const entry = await entryOf(panel, schedule?.action ?? fields.action ?? '')
    return orForm(panel, request, reply, { entry, schedule, given: fields }, async () => {
      // What is wrong with it is said in the same words as when it is stored.
      checkRule(readWhen(fields, request.language), Date.now())
      return form(panel, request, reply, { entry, schedule, given: fields })
    })
  })

  app.get(`${page}/:id`, async (request, reply) => {
    const schedule = await scheduleOf(panel, request)
    return form(panel, request, reply, { entry: await entryOf(panel, schedule.action), schedule, given: null })
  })

  app.post(`${page}/:id`, ofCommands, async (request, reply) => {
    const schedule = await scheduleOf(panel, request)
    const fields = fieldsOf(request.body)
    const entry = await entryOf(panel, schedule.action)
    return orForm(panel, request, reply, { entry, schedule, given: fields }, async () => {
      const prefill = prefillOf(panel, schedule.params)
      const given = readKeptParams(schemaDrawn(entry, fields), prefill.shown, fields)
      const params = restoreParams(given, prefill, redactionOf(panel.config).ofParams)
      const options = { ...readScheduleOptions(fields, entry.name, request.language), params }
      // As it was when the form was drawn, so that what somebody else changed since is not overwritten.
      const revision = /^\d{1,15}$/.test(fields.revision ?? '') ? Number(fields.revision) : schedule.revision
      await editSchedule(background, { ...schedule, revision }, options, personOf(request))
      return said(panel, request, reply, 'schedules.changed', schedule.name)
    })
  })

  const acts = {
    pause: (schedule: Schedule, who: Person) => pauseSchedule(background, schedule, who),
    resume: (schedule: Schedule, who: Person) => resumeSchedule(background, schedule, who),
    removal: (schedule: Schedule, who: Person) => removeSchedule(background, schedule, who),
  }
  for (const noun of ['pause', 'resume', 'removal'] as const) {
    app.post(`${page}/:id/${noun}`, noun === 'resume' ? ofCommands : {}, async (request, reply) => {
      const schedule = await scheduleOf(panel, request)
      return orFlash(panel, request, reply, async () => {
        await acts[noun](schedule, personOf(request))
        return said(panel, request, reply, `schedules.did.${noun}`, schedule.name)
      })
    })
  }

  app.post(`${page}/:id/run`, ofCommands, async (request, reply) => {
    const schedule = await scheduleOf(panel, request)
    return orFlash(panel, request, reply, async () => {
      const { task, added } = await runSchedule(background, schedule, personOf(request))
      panel.live.poke()
      const text = translate(request.language, added ? 'new.added' : 'new.kept', { id: String(task.id) })
      return redirectWith(request, reply, `${panel.root}/core/bgtask/${task.id}`, { tone: added ? 'good' : 'plain', text })
    })
  })
}

/** Schedules by name, with their last tasks. */
const listModel = async (panel: Pick<Panel, 'config' | 'background'>, language: Language, after: string | undefined) => {
  const { db } = panel.background
  const found = await listSchedules(db, { limit: onPage + 1, ...(after ? { after: after.slice(0, 64) } : {}) })
  const shown = found.slice(0, onPage)
  const tasks = await tasksById(
    db,
    shown.flatMap(({ lastTaskId }) => lastTaskId ?? []),
  )
  const tell = await loadRuleWords()
  const catalog = await panel.background.catalog()
  return {
    rows: shown.map(stored => {
      const schedule = showSchedule(panel.config, stored)
      const entry = catalog.get(schedule.action)
      return {
        schedule,
        words: tell(language, schedule.rule),
        next: schedule.nextAt === null ? null : formatZoned(language, schedule.nextAt, zoneOf(schedule.rule)),
        task: tasks.get(schedule.lastTaskId ?? 0) ?? null,
        trouble: !entry || entry.error !== null,
      }
    }),
    older: found.length > onPage ? shown.at(-1)!.name : null,
    after: after ?? null,
  }
}

interface FormOf {
  entry: ActionEntry
  /** The one that is changed; null: a new one. */
  schedule: Schedule | null
  /** What was sent; null: the form is new. */
  given: Record<string, string> | null
}

const form = async (
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  { entry, schedule, given }: FormOf,
  problem: string | null = null,
) => {
  const fields = given ?? (schedule && fieldsOfStored(panel, entry, schedule))
  const paramsShown = paramsFields(schemaDrawn(entry, fields ?? {}), fields)
  const values = scheduleValues(entry, fields ?? {})
  const now = Date.now()
  const preview = previewOfFields(values, request.language, now)
  const tell = await loadRuleWords()
  return reply.page(
    'schedule',
    {
      entry,
      problem,
      values,
      fields: paramsShown,
      onlyJson: paramsShown === null && paramsFields(entry.paramsSchema, null) !== null,
      paramsText: fields?.params ?? '{}',
      schedule: schedule && showSchedule(panel.config, schedule),
      revision: given?.revision ?? String(schedule?.revision ?? 0),
      preview: preview && { ...preview, words: tell(request.language, preview.rule) },
      zones: timeZones(),
      everyUnits,
      missedRules,
      overlapRules,
      isOpen: fields !== null && (values.unique !== '' || values.timeout_s !== '' || values.rerun === ''),
    },
    problem === null ? 200 : 422,
  )
}

/** What is refused is said above the form, which keeps what was given. */
const orForm = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, what: FormOf, work: () => Promise<unknown>) => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BgtaskError && ['refused', 'conflict', 'busy'].includes(error.code))
      return form(panel, request, reply, what, tell(request.language, error.sentence))
    throw error
  }
}

const orFlash = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, work: () => Promise<unknown>) => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BgtaskError && ['refused', 'conflict', 'busy'].includes(error.code))
      return redirectWith(request, reply, panel.root + page, { tone: 'bad', text: tell(request.language, error.sentence) })
    throw error
  }
}

const said = (
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  key: 'schedules.added' | 'schedules.changed' | `schedules.did.${'pause' | 'resume' | 'removal'}`,
  name: string,
) => redirectWith(request, reply, panel.root + page, { tone: 'good', text: translate(request.language, key, { name }) })

const personOf = (request: FastifyRequest): Person => ({ by: request.user!.name, actor: actorOf(request), madeFrom: 'panel' })

const scheduleOf = (panel: Panel, request: FastifyRequest): Promise<Schedule> => {
  const given = (request.params as { id: string }).id
  const id = parseTaskId(given)
  if (id === null) throw new BgtaskError('not-found', told`Schedule ${given.slice(0, 40)} does not exist.`)
  return existingSchedule(panel.background, { id })
}

/** @throws BgtaskError `refused`: the form needs its schema. Pausing and removing a schedule do not. */
const entryOf = async (panel: Panel, name: string): Promise<ActionEntry> => {
  const entry = (await panel.background.catalog()).get(name)
  if (entry) return entry
  throw new BgtaskError('refused', told`There is no action ${JSON.stringify(name.slice(0, 140))}; choose one of the list.`)
}

const fieldsOfStored = (panel: Panel, entry: ActionEntry, schedule: Schedule): Record<string, string> => {
  const { shown } = prefillOf(panel, schedule.params)
  return {
    ...(paramsShape(entry, shown, false).mayBeFields ? {} : { as: 'json' }),
    ...fieldsFromParams(shown),
    ...fieldsOfSchedule(showSchedule(panel.config, schedule)),
  }
}

const prefillOf = (panel: Panel, params: Json) => prefillParams(params, redactionOf(panel.config).ofParams(params))
