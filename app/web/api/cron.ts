import { Type } from 'typebox'
import { askCron } from '../../api/ask-cron.ts'
import { tokenActor } from '../../api/tokens.ts'
import { actorOf } from '../actor.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { taskState } from './schemas.ts'

/** Cron, for a token that may run it and need not be able to do anything else. */
export const registerCronApi = (api: Api, panel: Panel) => {
  api.post('/cron/run', { schema: runSchema }, async (request, reply) => {
    const { task, added } = await askCron(panel.background, { creator: tokenActor(request.token!), actor: actorOf(request) })
    panel.live.poke()
    reply.code(added ? 201 : 200)
    return { task: { id: task.id, uid: task.uid, state: task.state }, added }
  })
}

const asked = Type.Object(
  {
    task: Type.Object(
      { id: Type.Integer({ minimum: 1 }), uid: Type.String(), state: taskState },
      { additionalProperties: false, description: 'The task that is the cron run.' },
    ),
    added: Type.Boolean(),
  },
  { additionalProperties: false },
)

const runSchema = {
  summary: 'Run cron: every hook, then each queue for its time',
  description: 'Adds the task core/cron, which the supervisor starts. While one waits or runs, that one is answered and none is added.',
  response: {
    200: { ...asked, description: 'Cron waits or runs already; nothing was added.' },
    201: { ...asked, description: 'Asked for.' },
  },
  errors: [],
} as const
