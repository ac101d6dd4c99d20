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
  const back = cameFrom(panel, request)
  const html = panel.pages.render('error', request, {
    path: request.url.split('?', 1)[0],
    // What was pressed is not tried again by a link.
    here: request.method === 'GET' ? request.url : (back ?? panel.root),
    flash: null,
    csrf: null,
    bar: null,
    status,
    title: titleOf(request, status),
    text,
    since: since ?? null,
    back,
    section: status === 403 ? null : sectionOf(panel, request),
  })
  return reply.code(status).type('text/html; charset=utf-8').send(html)
}

/** The page of ours on which somebody pressed what led here; null when it was another site's, or is not told. */
const cameFrom = ({ root }: Panel, request: FastifyRequest): string | null => {
  const { referer, host } = request.headers
  const from = referer === undefined ? null : URL.parse(referer)
  if (from === null || from.host !== host || !from.pathname.startsWith(root)) return null
  const path = nextPath(from.pathname + from.search.replaceAll('/', '%2F').replaceAll('+', '%20'), root)
  // What does not look like an address of ours became the root.
  return path === request.url || (path === root && from.pathname !== root) ? null : path
}

/** The list to which the address belongs: what is not there is looked for there. */
const sectionOf = ({ root }: Panel, { url }: FastifyRequest): { path: string; name: TextKey } | null => {
  const [path = '', query] = url.split('?', 2)
  const own = path.slice(root.length)
  const found = sections.find(([from]) => own.startsWith(`${from}/`) || (own === from && query !== undefined))
  return found && path.startsWith(root) ? { path: root + found[1], name: found[2] } : null
}

/** The first that fits. */
const sections: readonly (readonly [from: string, to: string, name: TextKey])[] = [
  ['/core/bgtask/recovery', '/core/bgtask/failed', 'failed.title'],
  ['/core/bgtask', '/core/bgtask', 'nav.tasks'],
  ['/core/commands', '/core/commands', 'nav.commands'],
  ['/config/schedules', '/config/schedules', 'nav.schedules'],
  ['/config/system/cron', '/config/system/cron', 'nav.cron'],
  ['/config/users', '/config/users', 'nav.users'],
  ['/config/tokens', '/config/tokens', 'nav.tokens'],
  ['/reports/audit', '/reports/audit', 'nav.audit'],
]

const titleOf = (request: FastifyRequest, status: number): string => {
  const key = `error.title.${status}`
  return translate(request.language, key in en ? (key as TextKey) : status < 500 ? 'error.title.400' : 'error.title.500')
}
