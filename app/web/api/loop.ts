import { setTimeout as delay } from 'node:timers/promises'
import { Type } from 'typebox'
import { restartLoop } from '../../api/restart-loop.ts'
import { actorOf } from '../actor.ts'
import type { Panel } from '../panel.ts'
import type { Api } from './register.ts'
import { oneOf, orNull } from './schemas.ts'

/** Most proxies wait a minute for an answer, many programs half of it. */
const answerWithinMs = 20_000

/** The supervisor of this host. */
export const registerLoopApi = (api: Api, panel: Panel) => {
  const { config, background } = panel

  // For deploys: returns when fresh code runs, or with 202 when the old runs need longer; it is started all the same when they have ended.
  api.post('/loop/restart', { schema: restartSchema }, async (request, reply) => {
    const restarted = restartLoop({ config, db: background.db }, actorOf(request))
    const waiting = new AbortController()
    const late = delay(answerWithinMs, null, { signal: waiting.signal, ref: false })
    // Whichever comes second is of no use any more.
    late.catch(() => undefined)
    try {
      const start = await Promise.race([restarted, late])
      panel.live.poke()
      if (start !== null) return { state: start.state, pid: start.pid, sentence: start.sentence }
    } finally {
      waiting.abort()
    }
    restarted.then(
      () => panel.live.poke(),
      error => request.log.error(error, 'The supervisor that was asked for by a token could not be restarted.'),
    )
    return reply.code(202).send({
      state: 'stopping',
      pid: null,
      sentence: 'The supervisor is stopping: its runs use their grace. It is started afresh as soon as they have ended.',
    })
  })
}

const restarted = Type.Object(
  { state: oneOf(['started', 'running', 'starting', 'stopping', 'hold']), pid: orNull(Type.Integer()), sentence: Type.String() },
  { additionalProperties: false },
)

const restartSchema = {
  summary: 'Restart the supervisor on this host, with fresh code',
  description: 'For deploys. Answers when the fresh one runs, or after 20 s.',
  response: {
    200: { ...restarted, description: 'Fresh code runs.' },
    202: { ...restarted, description: 'The old runs need longer; it is started as soon as they have ended.' },
  },
  errors: [409, 422],
} as const
