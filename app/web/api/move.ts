import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { audited } from '../../api/audited.ts'
import { holderOf, moveTask } from '../../api/control.ts'
import { readDueTime } from '../../api/read-due-time.ts'
import { taskGiven } from '../../api/task-given.ts'
import { tokenActor } from '../../api/tokens.ts'
import { BgtaskError } from '../../errors.ts'
import type { Task } from '../../task/task.ts'
import { actorOf } from '../actor.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { taskAnswer, taskParams } from './schemas.ts'
import { createTeller } from './tell-task.ts'

/** Another due time for a task that waits: by its id, or by the unique key that it holds. */
export const registerMoveApi = (api: Api, panel: Panel) => {
  const { background } = panel

  const move = async (request: FastifyRequest, { id, action, runAt: before }: Task, how: string, when: When) => {
    const runAt = dueGiven(when)
    const detail = `${action}${how}, from ${new Date(before).toISOString()} to ${new Date(runAt).toISOString()}`
    const moved = await audited(background.db, actorOf(request), { act: 'task-move', subject: String(id), detail }, () =>
      moveTask(background, id, runAt, tokenActor(request.token!), actorOf(request).reach),
    )
    panel.live.poke()
    return { task: createTeller(panel)(moved) }
  }

  api.post('/tasks/:id/move', { schema: moveSchema }, async request =>
    move(request, await taskGiven(background, request.params.id), '', request.body),
  )

  api.post('/tasks/move', { schema: moveByKeySchema }, async request => {
    const { unique, ...when } = request.body
    return move(request, await holderOf(background, unique), ', by its unique key', when)
  })
}

interface When {
  runAt?: string | number | null
  delayMs?: number | null
}

const dueGiven = (when: When): number => {
  if (when.runAt == null && when.delayMs == null)
    throw new BgtaskError('refused', 'Neither runAt nor delayMs is given; write delayMs: 600000 for in ten minutes, delayMs: 0 for now.')
  return readDueTime(when, Date.now())
}

const when = {
  runAt: Type.Optional(
    Type.Union([Type.String(), Type.Number(), Type.Null()], { description: 'ISO 8601 text with its zone, or milliseconds since 1970.' }),
  ),
  delayMs: Type.Optional(Type.Union([Type.Number(), Type.Null()], { description: 'From now on.' })),
}

const moveSchema = {
  summary: 'Give a task that waits another due time',
  description: 'Either runAt or delayMs. What has passed means now. A task that has begun or ended has no due time to move.',
  params: taskParams,
  body: Type.Object(when, { additionalProperties: false, examples: [{ runAt: '2026-11-21T08:00:00+01:00' }, { delayMs: 600_000 }] }),
  response: { 200: taskAnswer },
  errors: [400, 404, 409, 413, 415],
} as const

const moveByKeySchema = {
  summary: 'Give the task that holds a unique key another due time',
  body: Type.Object(
    { unique: Type.String({ minLength: 1, maxLength: 255 }), ...when },
    { additionalProperties: false, examples: [{ unique: 'teacher:17', delayMs: 600_000 }] },
  ),
  response: { 200: taskAnswer },
  errors: [400, 404, 409, 413, 415],
} as const
