import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendApiError } from './api/answer.ts'
import { isApi } from './bearer.ts'
import { probes } from './healthz.ts'
import type { Panel } from './panel.ts'
import { isOverSocket } from './unix-socket.ts'

/**
 * What comes by the socket file is let in by the permissions of that file, so it has to come from a process of this machine: neither a browser nor
 * a proxy, behind which anybody might stand. And it is here for the API alone: pages know people, and there are none.
 */
export const guardSocket = (app: FastifyInstance, panel: Panel): void => {
  app.addHook('onRequest', async (request, reply): Promise<FastifyReply | undefined> => {
    if (!isOverSocket(request)) return undefined
    // It has no address, and what counts by address (@fastify/rate-limit) needs a text.
    Object.defineProperty(request, 'ip', { value: '' })
    const foreign = Object.keys(request.headers).find(name => ofOthers.test(name))
    if (foreign !== undefined) {
      const sentence = `The header ${foreign} is of a proxy or a browser, and the socket is for programs of this machine alone; a proxy goes to HOST and PORT.`
      return sendApiError(reply, 403, 'forbidden', sentence)
    }
    if (isApi(panel, request) || isProbe(panel, request)) return undefined
    return sendApiError(reply, 404, 'not-found', 'Over the socket there is only the API, /api/v1; the pages are at HOST and PORT.')
  })
}

const ofOthers = /^(?:x-forwarded-.*|x-real-ip|forwarded|via|origin|referer|cookie|sec-fetch-site)$/

const isProbe = ({ top }: Panel, { routeOptions: { url } }: FastifyRequest) => probes.some(probe => url === `${top}${probe}`)
