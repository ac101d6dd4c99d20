import { Type } from 'typebox'
import { taskGiven } from '../../api/task-given.ts'
import { BgtaskError } from '../../errors.ts'
import { listRuns } from '../../store/list-runs.ts'
import { EXEC_TYPE_FOREVER, isFinal } from '../../task/task.ts'
import { apiPrefix } from '../bearer.ts'
import type { Panel } from '../panel.ts'
import { sendApiError } from './answer.ts'
import { createEnds } from './ends.ts'
import type { Api } from './register.ts'
import { taskParams, taskSchema } from './schemas.ts'
import { createTeller } from './tell-task.ts'

export const waitLimits = {
  defaultMs: 30_000,
  /** Proxies give up on an answer after a minute. */
  mostMs: 55_000,
  /** Below the number of connections, so that others still come in. */
  inAll: 500,
  /** Of one token, so that no program takes all places. */
  perToken: 100,
} as const

/** Waiting for the end of a task, for a bounded time. */
export const registerWaitApi = (api: Api, panel: Panel) => {
  const { background } = panel
  const ends = createEnds(background.db, error =>
    api.log.warn(error, 'Whether tasks have ended could not be looked up; it is tried again.'),
  )
  api.addHook('preClose', async () => ends.close())
  const waiting = new Map<number, number>()
  const count = (token: number, change: 1 | -1) => {
    const now = (waiting.get(token) ?? 0) + change
    if (now > 0) waiting.set(token, now)
    else waiting.delete(token)
  }

  api.get('/tasks/:id/wait', { schema: waitSchema }, async (request, reply) => {
    const task = await taskGiven(background, request.params.id)
    if (task.execType === EXEC_TYPE_FOREVER)
      throw new BgtaskError('busy', `Task ${task.id} is a loop, which has no end to wait for; look at its state instead.`)
    if (!isFinal(task.state)) {
      const { id: token } = request.token!
      const ofOne = (waiting.get(token) ?? 0) >= waitLimits.perToken
      if (ofOne || ends.waiting >= waitLimits.inAll) {
        const sentence = ofOne
          ? `${waitLimits.perToken} requests of this token wait already; ask again in 5 s, or look at many tasks by GET ${apiPrefix}/tasks.`
          : `${waitLimits.inAll} requests wait already; ask again in 5 s.`
        return sendApiError(reply.header('retry-after', '5'), 429, 'rate-limited', sentence)
      }
      const gone = new AbortController()
      const left = () => gone.abort()
      reply.raw.once('close', left)
      const { timeoutMs = waitLimits.defaultMs } = request.query
      const timer = setTimeout(left, timeoutMs)
      count(token, 1)
      await ends.wait(task.id, gone.signal)
      count(token, -1)
      clearTimeout(timer)
      reply.raw.removeListener('close', left)
    }
    const now = await taskGiven(background, String(task.id))
    const [run] = await listRuns(background.db, now.id, { limit: 1 })
    return { task: createTeller(panel)(now, run?.endedAt ? run : null), ended: isFinal(now.state) }
  })
}

const waitSchema = {
  summary: 'Wait for the end of a task',
  description:
    'Answers as soon as it has ended, or when the time is over (`ended` is false then: ask again). Waiting costs the database nothing for each who waits. ' +
    `At most ${waitLimits.perToken} requests of a token wait at a time (429 beyond them).`,
  params: taskParams,
  querystring: Type.Object(
    { timeoutMs: Type.Optional(Type.Integer({ minimum: 0, maximum: waitLimits.mostMs, default: waitLimits.defaultMs })) },
    { additionalProperties: false },
  ),
  response: { 200: Type.Object({ task: taskSchema, ended: Type.Boolean() }, { additionalProperties: false }) },
  errors: [404, 409],
} as const
