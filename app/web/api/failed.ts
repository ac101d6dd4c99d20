import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { askRecovery } from '../../api/ask-recovery.ts'
import { tokenActor } from '../../api/tokens.ts'
import { BgtaskError } from '../../errors.ts'
import { redactionOf } from '../../runs/redaction.ts'
import { listErrors } from '../../store/errors.ts'
import { errorKeyPattern } from '../../task/error-pattern.ts'
import { actorOf } from '../actor.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { taskAnswer } from './schemas.ts'
import { createTeller } from './tell-task.ts'

/** What failed, by error; and retrying or discarding all that fits. */
export const registerFailedApi = (api: Api, panel: Panel) => {
  const { background, config } = panel

  api.get('/failed', { schema: listSchema }, async ({ query: { action, limit = 50 } }) => {
    const errors = await listErrors(background.db, { limit, ...(action === undefined ? {} : { action }) })
    return { errors: errors.map(error => ({ ...error, sample: redactionOf(config).text(error.sample) })) }
  })

  for (const act of ['retry', 'discard'] as const) {
    api.post(`/failed/${act}`, { schema: recoverySchema[act], preValidation: requireBody }, async (request, reply) => {
      const by = tokenActor(request.token!)
      const { task } = await askRecovery(background, act, request.body, { by, actor: actorOf(request) })
      panel.live.poke()
      return reply.code(202).send({ task: createTeller(panel)(task) })
    })
  }
}

/** Elsewhere a body that is not there is one without anything in it; here that would be all there is, and a client's mistake is not to say so. */
const requireBody = async ({ body }: FastifyRequest) => {
  if (body === undefined || body === null)
    throw new BgtaskError('refused', 'There is no body; say which: {"action": "report/build"}, for example, or {} for all that failed.')
}

const errorKey = Type.String({ pattern: errorKeyPattern, description: 'Key of the error, as GET /api/v1/failed has it.' })

const listSchema = {
  summary: 'By which errors tasks failed',
  description: 'Tasks that are failed now, counted by action and error; the one met last first.',
  querystring: Type.Object(
    {
      action: Type.Optional(Type.String({ maxLength: 160 })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50, description: 'How many at most.' })),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      errors: Type.Array(
        Type.Object(
          {
            key: errorKey,
            action: Type.String(),
            sample: Type.String({ description: 'As the last of them said it.' }),
            count: Type.Integer({ minimum: 0, description: 'Tasks that are failed by it now.' }),
            firstAt: Type.Integer({ description: 'Milliseconds since 1970.' }),
            lastAt: Type.Integer({ description: 'Milliseconds since 1970.' }),
            lastTask: Type.Integer(),
          },
          { additionalProperties: false },
        ),
      ),
    }),
  },
  errors: [422],
} as const

const filterSchema = Type.Object(
  {
    action: Type.Optional(Type.String({ maxLength: 160 })),
    type: Type.Optional(Type.String({ maxLength: 64 })),
    creator: Type.Optional(Type.String({ maxLength: 64 })),
    error: Type.Optional(errorKey),
  },
  { additionalProperties: false, description: 'All that is given must hold; {} is all that failed.' },
)

const recovery = (summary: string, description: string) =>
  ({ summary, description, body: filterSchema, response: { 202: taskAnswer }, errors: [422] }) as const
const recoverySchema = {
  retry: recovery(
    'Run again what failed',
    'Adds a task that retries all failed tasks which fit, in the background. What fails after this call is left alone.',
  ),
  discard: recovery('Discard what failed', 'Adds a task that deletes all failed tasks which fit, with their runs and output.'),
}
