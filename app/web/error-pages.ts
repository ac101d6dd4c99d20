import { randomBytes } from 'node:crypto'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BgtaskError, messageOf } from '../errors.ts'
import { isAway } from '../store/is-away.ts'
import { en } from '../texts/en.ts'
import { type TextKey, type TextValues, translate } from '../texts/translate.ts'
import { nextPath } from './next-path.ts'
import type { Panel } from './panel.ts'

/** An answer that is no page: its text says what is wrong and what to do. */
export class WebError extends Error {
  readonly statusCode: number
  readonly key: TextKey
  readonly values: TextValues
  constructor(statusCode: number, key: TextKey, values: TextValues = {}) {
    super(translate('en', key, values))
    this.statusCode = statusCode
    this.key = key
    this.values = values
  }
}

/** Error pages for everything thrown below, and for addresses that are not there. No stack reaches a browser. */
export const registerErrorPages = (app: FastifyInstance, panel: Panel) => {
  app.setNotFoundHandler((request, reply) =>
    answer(panel, request, reply, { status: 404, text: translate(request.language, 'error.notFound') }),
  )
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (
      error instanceof WebError &&
      error.statusCode === 401 &&
      request.method === 'GET' &&
      request.headers.accept !== 'text/event-stream'
    ) {
      return reply.redirect(`/admin/login?next=${encodeURIComponent(nextPath(request.url))}`, 303)
    }
    return answer(panel, request, reply, explain(panel, error, request))
  })
}

interface Explained {
  status: number
  text: string
  /** Times in the text are a matter of the page. */
  since?: number
}

const explain = (panel: Panel, error: FastifyError, request: FastifyRequest): Explained => {
  const say = (key: TextKey, values?: TextValues) => translate(request.language, key, values)
  if (error instanceof WebError) return { status: error.statusCode, text: say(error.key, error.values) }
  if (isAway(error) || (error instanceof BgtaskError && error.code === 'database-away')) {
    panel.databaseAwaySince ??= Date.now()
    return { status: 503, text: say('error.databaseAway'), since: panel.databaseAwaySince }
  }
  if (error instanceof BgtaskError) return { status: error.httpStatus, text: error.message }
  if (error.code?.startsWith('FST_CSRF')) return { status: 403, text: say('error.csrf') }
  if (error.statusCode === 429) return { status: 429, text: say('error.tooMany') }
  if (error.statusCode === 413) return { status: 413, text: say('error.tooLarge') }
  if (error.statusCode === 415) return { status: 415, text: say('error.contentType') }
  if (error.statusCode !== undefined && error.statusCode < 500) return { status: error.statusCode, text: say('error.badRequest') }
  const reference = randomBytes(4).toString('hex')
  request.log.error({ err: error, reference, method: request.method, path: request.url.split('?', 1)[0] }, messageOf(error))
  return { status: 500, text: say('error.internal', { reference }) }
}

const answer = (panel: Panel, request: FastifyRequest, reply: FastifyReply, { status, text, since }: Explained) => {
  if (status === 503) reply.header('retry-after', '5')
  const html = panel.pages.render('error', request, {
    path: request.url.split('?', 1)[0],
    here: request.url,
    flash: null,
    csrf: null,
    bar: null,
    status,
    title: titleOf(request, status),
    text,
    since: since ?? null,
  })
  return reply.code(status).type('text/html; charset=utf-8').send(html)
}

const titleOf = (request: FastifyRequest, status: number): string => {
  const key = `error.title.${status}`
  return translate(request.language, key in en ? (key as TextKey) : status < 500 ? 'error.title.400' : 'error.title.500')
}
