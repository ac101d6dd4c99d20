import type { FastifyReply, FastifyRequest } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { checkScheduleName } from '../../api/check-schedule.ts'
import type { ScheduleOptions } from '../../api/schedule-options.ts'
import { declareSchedule, existingSchedule, type Person, pauseSchedule, removeSchedule, resumeSchedule } from '../../api/schedules.ts'
import { showSchedule } from '../../api/show-schedule.ts'
import { tokenActor } from '../../api/tokens.ts'
import { BgtaskError } from '../../errors.ts'
import { findSchedule } from '../../store/find-schedule.ts'
import { listSchedules } from '../../store/list-schedules.ts'
import { upcoming } from '../../task/due-times.ts'
import { leastEveryMs, madeFrom, missedRules, mostEveryMs, overlapRules, type Schedule } from '../../task/schedule.ts'
import { actorOf } from '../actor.ts'
import { apiPrefix, lacksScope } from '../bearer.ts'
import type { Panel } from '../panel.ts'
import { requireAction, requireActionName, scheduleScopeMissingFor, scopeMissingFor } from './may-add.ts'
import type { Api } from './register.ts'
import { ms, msOrNull, oneOf, orNull } from './schemas.ts'
import { taskOptionsSchema } from './task-wish.ts'
import { allButBody } from './validate.ts'

const timesTold = 5

/**
 * Schedules, for programs. Whatever a schedule does it does later, when nobody asks for a token any more: so one may be made, changed, paused or
 * removed only by a token that may do itself what it would do.
 */
export const registerSchedulesApi = (api: Api, panel: Panel) => {
  const { background } = panel

  api.get('/schedules', { schema: listSchema }, async ({ query: { limit = 50, after } }) => {
    const found = await listSchedules(background.db, { limit: limit + 1, ...(after === undefined ? {} : { after }) })
    const told = found.slice(0, limit)
    return { schedules: told.map(schedule => tell(panel, schedule)), further: found.length > limit ? told.at(-1)!.name : null }
  })

  api.get('/schedules/:name', { schema: oneSchema }, async ({ params }) => {
    const schedule = await existingSchedule(background, { name: checkScheduleName(params.name) })
    return { schedule: tell(panel, schedule) }
  })

  api.put('/schedules/:name', { schema: declareSchema, validatorCompiler: allButBody }, async (request, reply) => {
    const { scopes, name: creator } = request.token!
    const given: unknown = request.body
    const options = isObject(given) ? { creator, ...given } : given
    if (isObject(given) && typeof given.action === 'string') {
      requireActionName(given.action)
      const missing = scheduleScopeMissingFor(scopes, wishIn(given))
      if (missing !== null) return lacksScope(reply, missing)
      requireAction(await background.catalog(), scopes, given.action)
    }
    const { schedule, added, changed } = await declareSchedule(background, request.params.name, options as ScheduleOptions, {
      ...personOf(request),
      mayChange: there => {
        requireReachOf(request, there)
        requireOwn(there)
      },
    })
    if (changed) panel.live.poke()
    if (added) tellWhere(panel, reply, schedule)
    return { schedule: tell(panel, schedule), added, changed }
  })

  api.delete('/schedules/:name', { schema: removeSchema }, async request => {
    const schedule = await scheduleOf(panel, request, request.params.name)
    await removeSchedule(background, schedule, personOf(request))
    panel.live.poke()
    return { removed: true }
  })

  for (const [noun, { act, summary, description }] of Object.entries(acts)) {
    const schema = { summary, description, params: nameParams, response: { 200: scheduleAnswer }, errors: [404, 409, 422] } as const
    api.post(`/schedules/:name/${noun}`, { schema }, async request => {
      const seen = await scheduleOf(panel, request, request.params.name)
      const schedule = await act(background, seen, personOf(request))
      panel.live.poke()
      return { schedule: tell(panel, schedule) }
    })
  }
}

const acts = {
  pause: {
    act: pauseSchedule,
    summary: 'Pause a schedule',
    description: 'It makes nothing until it is resumed; what is due until then is not made up for. One that is paused already stays so.',
  },
  resume: {
    act: resumeSchedule,
    summary: 'Let a paused schedule go on',
    description: 'With its next time from now on. One that is not paused stays as it is.',
  },
}

const personOf = (request: FastifyRequest): Person => ({ by: tokenActor(request.token!), actor: actorOf(request), madeFrom: 'api' })

const isObject = (given: unknown): given is Record<string, unknown> => typeof given === 'object' && given !== null && !Array.isArray(given)

const wishIn = ({ action, params, unique, onConflict }: Record<string, unknown>) => ({
  action: action as string,
  params,
  uniqueKey: unique,
  onConflict,
})

/** @throws BgtaskError `not-found` without the names that are like it: this token need not be one that may read them; `forbidden` */
const scheduleOf = async ({ background }: Panel, request: FastifyRequest, given: string): Promise<Schedule> => {
  const name = checkScheduleName(given)
  const schedule = await findSchedule(background.db, { name })
  if (!schedule) throw new BgtaskError('not-found', `There is no schedule ${JSON.stringify(name)}.`)
  requireReachOf(request, schedule)
  return schedule
}

/** @throws BgtaskError `forbidden`: it is told no more of */
const requireReachOf = (request: FastifyRequest, { name, action, params, options }: Schedule): void => {
  const { scopes } = request.token!
  if (scheduleScopeMissingFor(scopes, { action, params, ...options }) === null) return
  const why =
    scopeMissingFor(scopes, { action, params }) === null
      ? 'stops or overwrites tasks that hold its unique key, for which this token lacks the scope task:control'
      : 'runs what this token may not add'
  throw new BgtaskError('forbidden', `The schedule ${JSON.stringify(name)} ${why}. An administrator can make a token that may.`)
}

/** Two who declare the same one in turn would undo each other's at each start. @throws BgtaskError `conflict` */
const requireOwn = ({ name, madeFrom, declared }: Schedule): void => {
  if (madeFrom === 'api') return
  const maker = { code: "the application's code", panel: 'a person on the page', 'command-line': 'a person in a terminal' }[madeFrom]
  const where = declared === null ? 'change it there' : 'change it in the code'
  throw new BgtaskError(
    'conflict',
    `The schedule ${JSON.stringify(name)} was made by ${maker}; ${where}, take another name, or remove it first.`,
  )
}

const tellWhere = (panel: Panel, reply: FastifyReply, { name }: Schedule) =>
  reply.code(201).header('location', `${panel.top}${apiPrefix}/schedules/${encodeURIComponent(name)}`)

/** Without its secrets; the hash of what was declared is nobody's business, since it is one of the secrets as well. */
const tell = ({ config }: Panel, stored: Schedule) => {
  const { declared: _declared, ...schedule } = showSchedule(config, stored)
  return { ...schedule, next: stored.wanted === 'down' ? [] : upcoming(stored.rule, Date.now(), timesTold) }
}

const strict = { additionalProperties: false } as const

const noteSchema = Type.Union([
  Type.Object(
    {
      code: Type.Literal('missed'),
      at: ms('When that was found.'),
      from: ms('The first of them.'),
      to: ms('The last of them.'),
      passed: Type.Integer({ description: 'Due times that were missed or late.' }),
      more: Type.Boolean({ description: 'There were more than that.' }),
      made: Type.Integer({ description: 'Tasks that were made for them.' }),
    },
    strict,
  ),
  Type.Object({ code: Type.Literal('overlap'), at: ms('When.'), dueAt: ms('The time passed over.'), taskId: Type.Integer() }, strict),
  Type.Object({ code: Type.Literal('failed'), at: ms('When.'), dueAt: ms('It is tried again.'), detail: Type.String() }, strict),
])

const optionsSchema = Type.Object(
  {
    type: Type.String(),
    creator: Type.String(),
    priority: Type.Integer(),
    uniqueKey: orNull(Type.String()),
    onConflict: oneOf(['keep', 'replace', 'keepLast']),
    maxAttempts: Type.Integer(),
    timeoutMs: orNull(Type.Integer()),
    graceMs: Type.Integer(),
    rerunAfterCrash: Type.Boolean(),
  } satisfies Record<keyof Schedule['options'], TSchema>,
  { ...strict, description: 'What its tasks are given, filled in.' },
)

const scheduleSchema = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    name: Type.String(),
    rule: Type.Union([
      Type.Object({ cron: Type.String(), timeZone: Type.String() }, strict),
      Type.Object({ everyMs: Type.Integer(), anchorAt: ms('It counts from then.') }, strict),
    ]),
    action: Type.String(),
    params: Type.Unknown({ description: 'Of its tasks; what is secret by its name or value is hidden.' }),
    options: optionsSchema,
    missed: oneOf(missedRules),
    overlap: oneOf(overlapRules),
    wanted: oneOf(['up', 'down'], { description: 'down: paused.' }),
    nextAt: msOrNull('When it is due; null while it is paused, and when there is no further time.'),
    next: Type.Array(ms('A due time.'), { description: `Its next ${timesTold} times.` }),
    lastAt: msOrNull('The newest due time that was dealt with.'),
    lastTaskId: orNull(Type.Integer()),
    note: orNull(noteSchema),
    madeBy: Type.String(),
    madeFrom: oneOf(madeFrom),
    editedBy: orNull(Type.String({ description: 'Who changed it last otherwise than by its declaration.' })),
    editedAt: msOrNull('When.'),
    revision: Type.Integer({ description: 'Grows at each change of what it says.' }),
    createdAt: ms('When it was made.'),
    updatedAt: ms('When it was last changed.'),
  } satisfies Record<Exclude<keyof Schedule, 'declared'> | 'next', TSchema>,
  { $id: 'Schedule', additionalProperties: false },
)
const scheduleAnswer = Type.Object({ schedule: scheduleSchema }, strict)

const nameParams = Type.Object({ name: Type.String({ description: 'Of the schedule.', examples: ['nightly-clean-up'] }) })

const { execType: _execType, runAt: _runAt, delayMs: _delayMs, onConflict: _onConflict, ...ofTask } = taskOptionsSchema.properties
const wishSchema = Type.Object(
  {
    action: Type.String({ description: 'Like report/build.' }),
    params: Type.Optional(Type.Unknown({ description: 'Of its tasks. Default {}.' })),
    cron: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: 'Five fields, or six with the second first; or @daily. Or everyMs.' }),
    ),
    everyMs: Type.Optional(Type.Union([Type.Integer({ minimum: leastEveryMs, maximum: mostEveryMs }), Type.Null()])),
    timeZone: Type.Optional(Type.Union([Type.String(), Type.Null()], { description: 'Whose clock it goes by. Default UTC.' })),
    missed: Type.Optional(oneOf(missedRules, { default: 'once' })),
    overlap: Type.Optional(oneOf(overlapRules, { default: 'allow' })),
    onConflict: Type.Optional(oneOf(['keep', 'replace', 'keepLast'], { default: 'keep' })),
    ...ofTask,
  } satisfies Record<keyof ScheduleOptions, TSchema>,
  {
    $id: 'ScheduleOptions',
    additionalProperties: false,
    description: 'The same as those of addSchedule.',
    examples: [
      { cron: '30 2 * * *', timeZone: 'Europe/Berlin', action: 'report/build', params: { month: '2026-11' } },
      { everyMs: 900_000, action: 'report/build', overlap: 'skip' },
    ],
  },
)

const listSchema = {
  summary: 'List schedules by name',
  querystring: Type.Object(
    {
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50, description: 'How many at most.' })),
      after: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: '`further` of another answer: the page after it.' })),
    },
    strict,
  ),
  response: { 200: Type.Object({ schedules: Type.Array(scheduleSchema), further: orNull(Type.String()) }, strict) },
} as const

const oneSchema = {
  summary: 'A schedule and its next times',
  params: nameParams,
  response: { 200: scheduleAnswer },
  errors: [404, 422],
} as const

const declared = Type.Object(
  { schedule: scheduleSchema, added: Type.Boolean(), changed: Type.Boolean({ description: 'false: it was declared so already.' }) },
  strict,
)

const declareSchema = {
  summary: 'Declare a schedule: a task at each of its times',
  description:
    'To be said at each start of a program: saying the same again changes nothing, also where people changed it on the page since; something else is ' +
    'applied. A pause stays. The token needs `schedule:write` and what it needs to add such a task itself; with a unique key, `replace` and ' +
    '`keepLast` need `task:control`. What the application declares in its code, or people made, is not changed here. ' +
    'The schedule stays when the token is revoked.',
  params: nameParams,
  body: wishSchema,
  response: {
    200: { ...declared, description: 'It is there.' },
    201: { ...declared, description: 'It was made.' },
  },
  errors: [400, 409, 413, 415, 422],
} as const

const removeSchema = {
  summary: 'Remove a schedule',
  description:
    'The tasks that it made stay. One that is changed by somebody else in this very moment stays as well (409, `busy`): look at it again.',
  params: nameParams,
  response: { 200: Type.Object({ removed: Type.Literal(true) }, strict) },
  errors: [404, 409, 422],
} as const
