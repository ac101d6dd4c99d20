import type { FastifyInstance, FastifyRequest } from 'fastify'
import { askCronIf } from '../api/ask-cron.ts'
import { messageOf } from '../errors.ts'
import { isDueAfterRequest, nextAfterRequest } from '../task/cron-rules.ts'
import type { Panel } from './panel.ts'

/** What is set on the page may be changed by another process: it is looked at this often, while there are visits. Milliseconds. */
const lookEveryMs = 30_000

/**
 * Asks for a cron run when `Run cron every` has passed, after a request has been answered: nobody waits for it, and it is only a task that is added here,
 * for the supervisor to run. Off unless set on the page. Between looks a request costs one comparison.
 */
export const runCronAfterRequests = (app: FastifyInstance, panel: Panel, { everyMs = lookEveryMs }: { everyMs?: number } = {}) => {
  let lookAt = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | null = null
  app.addHook('onResponse', (request, reply, done) => {
    done()
    if (looking !== null || performance.now() < lookAt || reply.statusCode >= 400 || !isVisit(request)) return
    looking = look().finally(() => {
      looking = null
    })
  })
  app.addHook('onClose', async () => {
    await looking
  })

  const look = async () => {
    lookAt = performance.now() + everyMs
    try {
      const { asked, cron } = await askCronIf(panel.background, { creator: 'after a request' }, isDueAfterRequest)
      const next = nextAfterRequest(cron)
      if (asked === null && next !== null) lookAt = performance.now() + Math.max(0, Math.min(everyMs, next - Date.now()))
      if (asked !== null) panel.live.poke()
    } catch (error) {
      app.log.error(error, `Cron could not be asked for after a request: ${messageOf(error)}`)
    }
  }
}

/** Files and probes come without anybody, and what is not there is no page. */
const isVisit = (request: FastifyRequest): boolean =>
  !request.is404 && request.method === 'GET' && !/^\/(?:healthz|metrics|cron|admin\/assets)(?:\/|$)/.test(request.routeOptions.url ?? '')
