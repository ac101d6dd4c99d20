import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import { type Addresses, canonicalAddress, canonicalRoot } from '../addresses.ts'
import { explainError } from '../explain-error.ts'
import type { Panel } from '../panel.ts'
import { type MetricsText, openMetricsText } from './text.ts'

/** For Prometheus: to a token with the scope metrics:read, to who is signed in, and, if BGTASK_METRICS says so, to processes of this machine. */
export const registerMetrics = (app: FastifyInstance, panel: Panel, times: RequestTimes) => {
  let opening: Promise<MetricsText> | undefined
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // Browsers are led to the login, as everywhere; a scraper is told by a status, and a line for its log.
    if (request.token || /\btext\/html\b/.test(request.headers.accept ?? '')) throw error
    const { status, text } = explainError(panel, error, request)
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="bgtask"')
    return reply
      .code(status)
      .type('text/plain; charset=utf-8')
      .send(`${status === 401 ? needsToken : text}\n`)
  })
  app.get('/metrics', async (_request, reply) => {
    opening ??= openMetricsText(panel)
    const text = await opening
    times.tell(text)
    return reply.header('content-type', text.contentType).send(await text.read())
  })
}

const needsToken = 'A token with the scope metrics:read is needed, in the header Authorization: Bearer bgt_…'

/** How long requests take. Nothing is noted while nobody asks for the metrics. */
export interface RequestTimes {
  tell(text: MetricsText): void
}

/** To be called before routes are registered. */
export const timeRequests = (app: FastifyInstance, addresses: Addresses): RequestTimes => {
  let told: MetricsText | null = null
  app.addHook('onResponse', async (request, reply) => {
    if (!told) return
    const route = routeOf(addresses, request)
    if (!waiting.has(route))
      told.noteRequest({ method: methodOf(request), route, code: String(reply.statusCode) }, reply.elapsedTime / 1000)
  })
  return {
    tell(text) {
      told = text
    },
  }
}

/** There are as many as there are routes: an address that is none may be anything. */
const routeOf = (addresses: Addresses, request: FastifyRequest): string =>
  request.is404 ? 'none' : canonicalAddress(addresses, request.routeOptions.url ?? 'none')

const methodOf = ({ method }: FastifyRequest): string => (methods.has(method) ? method : 'other')
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** These take as long as who asks wants. */
const waiting = new Set([`${canonicalRoot}/live`, '/api/v1/tasks/:id/wait'])
