import type { FastifyInstance } from 'fastify'
import { WebError } from './error-pages.ts'
import { fieldsOf } from './fields.ts'
import { nextPath } from './next-path.ts'
import type { Panel } from './panel.ts'
import { isOwnFetch, originsOf } from './request-class.ts'
import { sessionHash } from './session.ts'

/** One stream per tab (server-sent events): what changed on the page that is open. */
export const registerLive = (app: FastifyInstance, panel: Panel) => {
  app.get('/live', async (request, reply) => {
    if (!isOwnFetch(request, originsOf(request, panel.config.publicUrl))) throw new WebError(403, 'error.origin')
    const { page, at } = fieldsOf(request.query)
    const { raw } = reply
    // Nothing is written before it is certain that there is room for one more.
    const joining = {
      raw,
      sessionHash: sessionHash(request.session.sessionId),
      reader: { language: request.language, theme: request.theme, times: request.times, user: request.user },
      page: nextPath(page, panel.root),
      seen: positionIn(request.headers['last-event-id']) ?? positionIn(at) ?? '',
    }
    if (!panel.live.hasRoom(joining.sessionHash)) throw new WebError(429, 'error.tooManyStreams')
    const headers = reply.getHeaders()
    reply.hijack()
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value as string)
    raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
    panel.live.join(joining)
  })
}

/** @returns `<run number>:<bytes>`, or null for anything else */
const positionIn = (given: unknown): string | null => (typeof given === 'string' && /^\d{1,15}:\d{1,15}$/.test(given) ? given : null)
