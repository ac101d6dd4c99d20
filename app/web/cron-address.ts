import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { askCronIf } from '../api/ask-cron.ts'
import { noteAct } from '../api/audited.ts'
import { isCronKey } from '../cron/cron-key.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { type Cron, readCron } from '../store/cron.ts'
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
    const guesses = inner.createRateLimit(rateLimits.cron)
    const recently = rememberFor(recentMs, () => readCron(panel.background.db))
    for (const url of ['/cron', '/cron/*']) {
      inner.route({ method: ['GET', 'POST'], url, handler: (request, reply) => run({ panel, guesses, recently }, request, reply) })
    }
  })

interface Tools {
  panel: Panel
  guesses: ReturnType<FastifyInstance['createRateLimit']>
  recently: ReturnType<typeof rememberFor<Cron>>
}

/** A flood of guesses costs the database one look in so many milliseconds. */
const recentMs = 10_000

const run = async ({ panel, guesses, recently }: Tools, request: FastifyRequest, reply: FastifyReply) => {
  const { background } = panel
  // Nobody has asked for it yet: a browser, or a chat, only looks ahead.
  if (isFetchedAhead(request)) return refuse(reply)
  const given = keyOf(request)
  // Whoever guesses must not keep cron from being run by a neighbour: behind one proxy, or one router, many are one address.
  if (!isCronKey(await recently.read(), given)) {
    const looked = await guesses(request)
    if (!looked.isAllowed && looked.isExceeded) return tooOften(reply.header('retry-after', String(Math.max(1, looked.ttlInSeconds))))
  }
  if (!isCronKey(await readCron(background.db), given)) {
    // A key that was in force a moment ago is a guess from now on.
    recently.forget()
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

const tooOften = (reply: FastifyReply) => tell(reply, 429, 'That is too often from one address; ask again later.')

/** The same whatever is wrong, so that nobody learns how near they were. */
const refuse = (reply: FastifyReply) => tell(reply, 403, cronRefusal)

const answerError = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
  if (isAway(error) || (error instanceof BgtaskError && error.code === 'database-away'))
    return tell(reply.header('retry-after', '5'), 503, 'The database is away; ask again later.')
  if (error.statusCode === 421) return tell(reply, 421, translate('en', 'error.host'))
  if (error.statusCode !== undefined && error.statusCode < 500) return refuse(reply)
  request.log.error(error, `Cron could not be asked for by its address: ${messageOf(error)}`)
  return tell(reply, 500, 'Cron could not be asked for; the log of the panel says why.')
}

const tell = (reply: FastifyReply, status: number, sentence: string) =>
  reply.code(status).type('text/plain; charset=utf-8').send(`${sentence}\n`)

const rememberFor = <Value>(ms: number, read: () => Promise<Value>) => {
  let known: { value: Promise<Value>; until: number } | null = null
  return {
    read: (): Promise<Value> => {
      if (known !== null && performance.now() < known.until) return known.value
      const value = read()
      known = { value, until: performance.now() + ms }
      value.catch(() => {
        known = null
      })
      return value
    },
    forget: () => {
      known = null
    },
  }
}
