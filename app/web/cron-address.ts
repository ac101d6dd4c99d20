import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { askCronIf } from '../api/ask-cron.ts'
import { noteAct } from '../api/audited.ts'
import { isCronKey } from '../cron/cron-key.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { readCron } from '../store/cron.ts'
import { isAway } from '../store/is-away.ts'
import { addressWaitMs } from '../task/cron-rules.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import type { Panel } from './panel.ts'
import { rateLimits } from './rate-limits.ts'
import { isFetchedAhead } from './request-class.ts'

/**
 * Cron by its secret address, for a crontab or a service elsewhere: no session, nothing but the key, in the path or in the header X-Cron-Key. Answers
 * without a body on success, and in plain text otherwise; what was asked for stands in no answer and no line of the log, since the key is in it.
 */
export const registerCronAddress = (app: FastifyInstance, panel: Panel) =>
  app.register(async inner => {
    inner.removeAllContentTypeParsers()
    inner.addContentTypeParser('*', (_request, payload, done) => {
      payload.resume()
      done(null, undefined)
    })
    inner.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply))
    inner.addHook('onRequest', async (_request, reply) => {
      reply.header('referrer-policy', 'no-referrer')
    })
    for (const url of ['/cron', '/cron/*']) {
      inner.route({
        method: ['GET', 'POST'],
        url,
        config: { rateLimit: rateLimits.cron },
        handler: (request, reply) => run(panel, request, reply),
      })
    }
  })

const run = async (panel: Panel, request: FastifyRequest, reply: FastifyReply) => {
  const { background } = panel
  // Nobody has asked for it yet: a browser, or a chat, only looks ahead.
  if (isFetchedAhead(request)) return refuse(reply)
  const given = keyOf(request)
  if (!isCronKey(await readCron(background.db), given)) {
    // Who gives none guesses none.
    if (given !== '') await noteAct(background.db, actorOf(request, 'cron-address'), { act: 'cron-key-refused' })
    return refuse(reply)
  }
  const by = { creator: 'cron address', actor: actorOf(request, 'cron-address') }
  const { asked, cron } = await askCronIf(background, by, (cron, now) => addressWaitMs(cron, now) === 0)
  if (asked !== null) {
    panel.live.poke()
    return reply.code(204).send()
  }
  const seconds = Math.max(1, Math.ceil(addressWaitMs(cron, Date.now()) / 1000))
  return tell(reply.header('retry-after', String(seconds)), 429, `Cron was asked for just before; ask again in ${seconds} s.`)
}

const keyOf = (request: FastifyRequest): string => {
  const inPath = (request.params as { '*'?: string })['*']
  if (inPath) return inPath
  const header = request.headers['x-cron-key']
  return typeof header === 'string' ? header : ''
}

export const cronRefusal = 'Cron is not run by this request: the key is missing or not the one that is in force.'

/** The same whatever is wrong, so that nobody learns how near they were. */
const refuse = (reply: FastifyReply) => tell(reply, 403, cronRefusal)

const answerError = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
  if (isAway(error) || (error instanceof BgtaskError && error.code === 'database-away'))
    return tell(reply.header('retry-after', '5'), 503, 'The database is away; ask again later.')
  if (error.statusCode === 429) return tell(reply, 429, 'That is too often from one address; ask again later.')
  if (error.statusCode === 421) return tell(reply, 421, translate('en', 'error.host'))
  if (error.statusCode !== undefined && error.statusCode < 500) return refuse(reply)
  request.log.error(error, `Cron could not be asked for by its address: ${messageOf(error)}`)
  return tell(reply, 500, 'Cron could not be asked for; the log of the panel says why.')
}

const tell = (reply: FastifyReply, status: number, sentence: string) =>
  reply.code(status).type('text/plain; charset=utf-8').send(`${sentence}\n`)
