import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { coversScope, everyTask } from '../api/scopes.ts'
import { type CheckedToken, checkToken, socketToken, type TokenRefusal } from '../api/tokens.ts'
import { noteTokenUse, type Token } from '../store/tokens.ts'
import { actorOf } from './actor.ts'
import { canonicalAddress, routeName } from './addresses.ts'
import { answerApiError, sendApiError } from './api/answer.ts'
import { createKnownScrapers } from './metrics/known-scrapers.ts'
import type { Panel } from './panel.ts'
import { rateLimits } from './rate-limits.ts'
import { routeRoles, type TokenNeed, tokenRoutes } from './roles.ts'
import { isOverSocket } from './unix-socket.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The program that asks; such a request has no session and no user. null: no token was sent. */
    token: Pick<Token, 'id' | 'name' | 'scopes'> | null
  }
}

/**
 * Tokens of programs: `Authorization: Bearer bgt_…` and nowhere else. Stands before the sessions, so that a request with a token never has one,
 * and decides by the table of roles.ts what a token may ask for: what is not in it takes none. A bad token is the end of a request, whatever
 * else it brings along. Needs @fastify/rate-limit.
 * @param methodsAt by which methods an address can be asked for
 */
export const registerBearer = (app: FastifyInstance, panel: Panel, methodsAt: (path: string) => string[]) => {
  app.decorateRequest('token', null)
  const limits: Limits = {
    address: app.createRateLimit(rateLimits.api),
    badToken: app.createRateLimit(rateLimits.badToken),
    token: app.createRateLimit({ ...rateLimits.token, keyGenerator: request => `token ${request.token!.id}` }),
  }
  const scrapers = createKnownScrapers()
  const uses = createUses(panel, error => app.log.error(error, 'The use of a token could not be noted.'))
  app.addHook('onClose', uses.settled)
  app.addHook('onRequest', async (request, reply) => {
    const given = bearerOf(request)
    if (given === null ? !isApi(panel, request) || isPublic(panel, request) : isOfAnother(panel, request, given)) return
    let refused: Refused | null
    try {
      refused = await recognise({ panel, limits, scrapers, uses, methodsAt }, request, given)
    } catch (error) {
      return answerApiError(panel, request, reply, error as FastifyError)
    }
    if (refused) return sendApiError(reply.headers(refused.headers ?? {}), refused.status, refused.code, refused.sentence)
  })
}

/** Where programs ask, below `panel.top`; nobody comes in here without a token. */
export const apiPrefix = '/api/v1'

interface Limits {
  address: Limit
  badToken: Limit
  token: Limit
}
type Limit = ReturnType<FastifyInstance['createRateLimit']>

interface Tools {
  panel: Panel
  limits: Limits
  scrapers: ReturnType<typeof createKnownScrapers>
  uses: ReturnType<typeof createUses>
  methodsAt: (path: string) => string[]
}

interface Refused {
  status: number
  code: string
  sentence: string
  headers?: Record<string, string>
}

/** Puts the token on the request. @returns why the request ends here; null: it goes on */
const recognise = async (
  { panel, limits, scrapers, uses, methodsAt }: Tools,
  request: FastifyRequest,
  given: string | null,
): Promise<Refused | null> => {
  // Whoever sends a token is a program: a session that came along by accident must lend it nothing.
  delete request.raw.headers.cookie
  const isLocal = isOverSocket(request)
  const slowed = isLocal ? null : await exceeded(limits.address, request)
  if (slowed) return slowed
  if (given === null && request.is404 && isPublicByAnother(panel, request, methodsAt)) return notThere(request, methodsAt(pathOf(request)))
  if (given === null && isLocal) {
    request.token = socketToken
    return whyNotHere(panel, request, methodsAt)
  }
  if (given === null) return { status: 401, code: 'token-missing', sentence: missing, headers: challenge() }
  const look = () => checkToken(panel.background.db, given, Date.now())
  const checked = routeName(panel, request) === 'GET /metrics' ? await scrapers.check(given, look) : await look()
  if (!checked.token) {
    const tooMany = isLocal ? null : await exceeded(limits.badToken, request)
    if (tooMany) return tooMany
    await noteRefusal(panel, request, checked)
    return { status: 401, code: 'token-refused', sentence: refusals[checked.refused], headers: challenge('error="invalid_token"') }
  }
  const { id, name, scopes } = checked.token
  request.token = { id, name, scopes }
  if (!('isRecalled' in checked)) uses.note(checked.token, isLocal ? 'unix socket' : request.ip)
  const tooMany = await exceeded(limits.token, request)
  if (tooMany) return tooMany
  return whyNotHere(panel, request, methodsAt)
}

/** Holds what the token on the request may do against what it asks for. */
const whyNotHere = (panel: Panel, request: FastifyRequest, methodsAt: Tools['methodsAt']): Refused | null => {
  const { scopes } = request.token!
  if (request.is404) return notThere(request, methodsAt(pathOf(request)))
  const need = tokenRoutes[routeName(panel, request)]
  if (need === undefined)
    return { status: 403, code: 'no-token-here', sentence: 'This address takes no token; it is for people who are signed in.' }
  return meetsNeed(scopes, need) ? null : scopeMissing(need === 'command' ? 'command:<name>' : need)
}

/** An address that needs no token, asked for by a method that it does not take. */
const isPublicByAnother = (panel: Panel, request: FastifyRequest, methodsAt: Tools['methodsAt']) =>
  methodsAt(pathOf(request)).some(method => routeRoles[`${method} ${canonicalAddress(panel, pathOf(request))}`] === 'public')

const notThere = ({ method }: FastifyRequest, methods: readonly string[]): Refused => {
  if (methods.length === 0 || methods.includes(method)) return { status: 404, code: 'not-found', sentence: 'There is no such address.' }
  const allow = methods.join(', ')
  return { status: 405, code: 'method', sentence: `This address is not asked by ${method} but by ${allow}.`, headers: { allow } }
}

/** Of `task:add` any will do here: which action it is stands in the body, and is held against the scopes there. */
const meetsNeed = (scopes: readonly string[], need: TokenNeed): boolean => {
  if (need === 'any') return true
  if (scopes.includes(everyTask) && (need === 'command' || need === 'task:add')) return true
  if (need === 'command') return scopes.some(scope => scope.startsWith('command:'))
  return need === 'task:add' ? scopes.some(scope => scope.startsWith('task:add:')) : coversScope(scopes, { kind: need })
}

/** @param scope as it should be among the token's */
export const lacksScope = (reply: FastifyReply, scope: string): FastifyReply => {
  const { status, code, sentence, headers } = scopeMissing(scope)
  return sendApiError(reply.headers(headers), status, code, sentence)
}

const scopeMissing = (scope: string) => ({
  status: 403,
  code: 'scope-missing',
  sentence: `This token does not have the scope ${scope}. An administrator can make one that has it.`,
  headers: challenge(`error="insufficient_scope", scope="${scope}"`),
})

/** @returns what follows `Bearer`, null without it. Text that can be no token comes from more than one such header. */
const bearerOf = ({ raw: { rawHeaders } }: FastifyRequest): string | null => {
  const all = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]!.toLowerCase() === 'authorization')
  const bearers = all.filter(value => /^bearer(?:\s|$)/i.test(value))
  if (bearers.length === 0) return null
  // Of two of them, a proxy and we might believe another one.
  return all.length > 1 ? '' : bearers[0]!.slice('bearer'.length).trim()
}

/** The application's own pages may have tokens of their own; ours stay out of them. */
const isOfAnother = (panel: Panel, request: FastifyRequest, given: string): boolean =>
  !request.is404 &&
  request.routeOptions.config.role !== undefined &&
  routeRoles[routeName(panel, request)] === undefined &&
  !given.startsWith('bgt_')

export const isApi = (panel: Panel, request: FastifyRequest): boolean => {
  const path = request.is404 ? pathOf(request) : (request.routeOptions.url ?? '')
  const address = canonicalAddress(panel, path)
  return address === apiPrefix || address.startsWith(`${apiPrefix}/`)
}

const isPublic = (panel: Panel, request: FastifyRequest): boolean => !request.is404 && routeRoles[routeName(panel, request)] === 'public'

const pathOf = ({ url }: FastifyRequest): string => url.split('?', 1)[0] ?? ''

const exceeded = async (limit: Limit, request: FastifyRequest): Promise<Refused | null> => {
  const looked = await limit(request)
  if (looked.isAllowed || !looked.isExceeded) return null
  const seconds = Math.max(1, looked.ttlInSeconds)
  const sentence = `More than ${looked.max} requests in ${looked.timeWindow / 1000} s; ask again in ${seconds} s.`
  return { status: 429, code: 'rate-limited', sentence, headers: { 'retry-after': String(seconds) } }
}

const challenge = (why?: string) => ({ 'www-authenticate': `Bearer realm="bgtask"${why ? `, ${why}` : ''}` })

const missing = 'A token is needed, in the header Authorization: Bearer bgt_…; it is taken from nowhere else.'

const refusals: Record<TokenRefusal, string> = {
  malformed: 'What follows Bearer is no token of this panel; one is like bgt_7_ and 43 characters more, in a single Authorization header.',
  unknown: 'There is no such token, or it is not complete.',
  expired: 'This token has expired; an administrator can make a new one.',
  revoked: 'This token was revoked; an administrator can make a new one.',
}

/** Whose it was meant to be, and never what was sent. */
const noteRefusal = (panel: Panel, request: FastifyRequest, { refused, id }: CheckedToken & { token: null }) =>
  noteAct(panel.background.db, actorOf(request, 'token'), {
    act: 'token-refused',
    subject: id === null ? null : `token ${id}`,
    detail: refused,
  })

const noteEveryMs = 60_000

/** Notes when and from where a token was last used, at most once a minute, and lets nobody wait for it. */
const createUses = ({ background: { db } }: Panel, report: (error: unknown) => void) => {
  const underWay = new Map<number, Promise<void>>()
  return {
    note: ({ id, lastUsedAt }: Token, ip: string) => {
      const at = Date.now()
      if (underWay.has(id) || (lastUsedAt !== null && at - lastUsedAt < noteEveryMs)) return
      const noting = noteTokenUse(db, id, { at, ip, everyMs: noteEveryMs })
        .catch(report)
        .finally(() => underWay.delete(id))
      underWay.set(id, noting)
    },
    settled: async () => {
      await Promise.all(underWay.values())
    },
  }
}
