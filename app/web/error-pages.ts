import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { en } from '../texts/en.ts'
import { type TextKey, translate } from '../texts/translate.ts'
import { answerApiError } from './api/answer.ts'
import { type ExplainedError, explainError, WebError } from './explain-error.ts'
import { nextPath } from './next-path.ts'
import type { Panel } from './panel.ts'

export { WebError } from './explain-error.ts'

/** Error pages for everything thrown below. No stack reaches a browser. */
export const registerErrorPages = (app: FastifyInstance, panel: Panel) => {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (request.token) return answerApiError(panel, request, reply, error)
    if (
      error instanceof WebError &&
      error.statusCode === 401 &&
      request.method === 'GET' &&
      request.headers.accept !== 'text/event-stream'
    ) {
      return reply.redirect(`${panel.root}/login?next=${encodeURIComponent(nextPath(request.url, panel.root))}`, 303)
    }
    return answer(panel, request, reply, explainError(panel, error, request))
  })
}

/** Addresses that are not there (404), and those that are there for other methods (405). @param methodsAt by which methods an address can be asked for */
export const registerNotThere = (app: FastifyInstance, panel: Panel, methodsAt: (path: string) => string[]) =>
  app.setNotFoundHandler((request, reply) => {
    const methods = methodsAt(request.url.split('?', 1)[0]!)
    if (methods.length === 0 || methods.includes(request.method)) {
      return answer(panel, request, reply, { status: 404, text: translate(request.language, 'error.notFound') })
    }
    const allowed = methods.join(', ')
    const text = translate(request.language, 'error.method', { method: request.method, allowed })
    return answer(panel, request, reply.header('allow', allowed), { status: 405, text })
  })

const answer = (panel: Panel, request: FastifyRequest, reply: FastifyReply, { status, text, since }: ExplainedError) => {
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
    back: cameFrom(panel, request),
  })
  return reply.code(status).type('text/html; charset=utf-8').send(html)
}

/** The page of ours on which somebody pressed what led here; null when it was another site's, or is not told. */
const cameFrom = ({ root }: Panel, request: FastifyRequest): string | null => {
  const { referer, host } = request.headers
  const from = referer === undefined ? null : URL.parse(referer)
  if (from === null || from.host !== host || !from.pathname.startsWith(root)) return null
  const path = nextPath(from.pathname + from.search, root)
  return path === request.url ? null : path
}

const titleOf = (request: FastifyRequest, status: number): string => {
  const key = `error.title.${status}`
  return translate(request.language, key in en ? (key as TextKey) : status < 500 ? 'error.title.400' : 'error.title.500')
}
