import type { FastifyReply, FastifyRequest } from 'fastify'
import { startAudited } from '../api/audited-loop.ts'
import type { LoopStop } from '../api/stop-loop.ts'
import { actorOf } from './actor.ts'
import { sendApiError } from './api/answer.ts'
import type { Panel } from './panel.ts'
import { classifyRequest } from './request-class.ts'

/*
 * The two pages that act on GET, asked for with a token instead of by a person: they act at once and answer in JSON. A browser adds no token to
 * a request by itself, so there is nothing to confirm.
 */

/**
 * GET …/core/bgtask/restart: 202 when the supervisor was asked to stop, 200 when there was nothing to stop.
 * @param stop stops it, as seldom as anybody may
 */
export const stopByToken = async (request: FastifyRequest, reply: FastifyReply, stop: () => Promise<LoopStop>) => {
  if (isAhead(request)) return refuseAhead(reply)
  const { asked, sentence } = await stop()
  return reply.code(asked ? 202 : 200).send({ asked, sentence })
}

/**
 * GET the overview: 202 when a supervisor was started, 200 when one runs. While the last one is stopping 503 with Retry-After, so that
 * `curl --retry` waits for it; 409 on hold.
 */
export const startByToken = async (panel: Panel, request: FastifyRequest, reply: FastifyReply) => {
  if (isAhead(request)) return refuseAhead(reply)
  const { started, state, pid, sentence } = await startAudited(toolsOf(panel), actorOf(request))
  panel.live.poke()
  if (state === 'hold') return sendApiError(reply, 409, 'hold', sentence)
  if (state === 'stopping') return sendApiError(reply.header('retry-after', '2'), 503, 'stopping', sentence)
  return reply.code(state === 'running' ? 200 : 202).send({ started, state, pid, sentence })
}

const toolsOf = ({ config, background: { db } }: Panel) => ({ config, db })

const isAhead = (request: FastifyRequest) => classifyRequest(request, []) === 'look'

const refuseAhead = (reply: FastifyReply) =>
  sendApiError(reply, 403, 'fetched-ahead', 'This request says that it is made ahead of its use (prefetch), and such a one does not act.')
