import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { checkLogin, normalName } from '../api/users.ts'
import { BgtaskError } from '../errors.ts'
import type { AuditVia } from '../store/audit.ts'
import { clearLoginFailures, giveBackLoginTry, takeLoginTry } from '../store/login-throttle.ts'
import { anyUser, findUser, type User } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { mayBeKeptBack } from './kept-back.ts'
import { knownDevice, loginKeyOf, rememberDevice } from './known-device.ts'
import { clearedSubjectsOf, loginWaitMs, subjectsOf } from './login-wait.ts'
import { nextPath } from './next-path.ts'
import type { Panel } from './panel.ts'
import { rateLimits } from './rate-limits.ts'
import { sessionHash } from './session.ts'

export const registerLogin = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const keyGenerator = loginKeyOf(panel)

  app.get('/login', { config: { rateLimit: { ...rateLimits.loginPage, keyGenerator } } }, async (request, reply) => {
    const next = nextPath(fieldsOf(request.query).next, panel.root)
    if (request.user) {
      // Who comes from elsewhere is sent on, but what acts on a visit must not act on this one.
      request.session.arrivedFromElsewhere = true
      return reply.redirect(next, 303)
    }
    // The browser brings the cookies when a page of ours asks once more; by itself that page does so once.
    if (mayBeKeptBack(request, reply, panel.config)) {
      return reply.page('login-continue', { next, isAgain: fieldsOf(request.query).again !== undefined, csrf: null })
    }
    return reply.page('login', { next, name: '', problem: proxyProblem(panel, request), hasUsers: await anyUser(db) })
  })

  app.post('/login', { config: { rateLimit: { ...rateLimits.login, keyGenerator } } }, async (request, reply) => {
    const { name = '', password = '', next } = fieldsOf(request.body)
    const again = (problem: string, status: number) =>
      reply.page('login', { next: nextPath(next, panel.root), name: name.slice(0, 64), problem, hasUsers: true }, status)
    const device = knownDevice(panel, request, await findUser(db, normalName(name)))
    const subjects = subjectsOf({ name, ip: request.ip, device, now: Date.now() })
    const waitMs = await takeLoginTry(db, subjects, Date.now(), failures => loginWaitMs(failures, Date.now()))
    if (waitMs > 0) return again(waitText(request, reply, waitMs), 429)
    let user: User | null
    try {
      user = await checkLogin(db, name, password, device === null ? 'anybody' : 'known')
    } catch (error) {
      if (!isBusy(error)) throw error
      await giveBackLoginTry(db, subjects)
      return again(busyText(request, reply), 503)
    }
    if (!user) {
      await noteAct(db, actorOf(request), { act: 'login-failed', subject: name.slice(0, 64) })
      return again(translate(request.language, 'login.wrong'), 401)
    }
    await giveBackLoginTry(db, subjects)
    if (user.totpSecret === null) return enter(panel, request, reply, user, { next: nextPath(next, panel.root), device })
    // Whoever planted the session id before must not share what comes now, though it opens nothing but the question for the code.
    await noteAct(db, actorOf(request), { act: 'password-accepted', subject: user.name })
    await request.session.regenerate()
    request.session.half = { userId: user.id, at: Date.now(), passwordChangedAt: user.passwordChangedAt, next: nextPath(next, panel.root) }
    return reply.redirect(`${panel.root}/login/second-factor`, 303)
  })

  app.post('/logout', async (request, reply) => {
    if (request.user) {
      await noteAct(db, actorOf(request), { act: 'logout' })
      panel.live.endSession(sessionHash(request.session.sessionId))
    }
    await request.session.destroy()
    return reply.redirect(`${panel.root}/login`, 303)
  })
}

/** The end of every login: nothing more is asked. */
export const enter = async (
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  user: User,
  { next, device, via, detail }: { next: string; device: string | null; via?: AuditVia; detail?: string },
) => {
  // Of two halves there is no other way here than over the second one, or past both with a link.
  await signIn(panel, request, user, { via, detail, secondFactor: user.totpSecret !== null })
  const own = device === null ? [] : [`device:${device}`, `code:device:${device}`]
  await clearLoginFailures(panel.background.db, [...clearedSubjectsOf(user), ...own])
  rememberDevice(panel, reply, user)
  // A page elsewhere may have sent the visitor here to stop the loop: after the login that address asks, and does not act.
  if (next.startsWith(`${panel.root}/core/bgtask/restart`)) request.session.arrivedFromElsewhere = true
  return reply.redirect(next, 303)
}

/**
 * A new session id at each login, so that one planted before is worth nothing. It counts as having just given the password.
 * @param user as it was when the password was held against it: if that has changed meanwhile, the session opens nothing
 * @param options.secondFactor whether the second factor was asked for as well
 */
export const signIn = async (
  { background: { db } }: Panel,
  request: FastifyRequest,
  user: Pick<User, 'id' | 'name' | 'passwordChangedAt'>,
  { via = 'form', detail, secondFactor }: { via?: AuditVia | undefined; detail?: string | undefined; secondFactor: boolean },
) => {
  await noteAct(db, { ...actorOf(request, via), name: user.name }, { act: 'login', detail: detail ?? null })
  await request.session.regenerate()
  const now = Date.now()
  request.session.userId = user.id
  request.session.passwordChangedAt = user.passwordChangedAt
  request.session.secondFactor = secondFactor
  request.session.signedInAt = now
  request.session.provedAt = now
  request.session.from = { ip: request.ip, userAgent: request.headers['user-agent'] ?? null }
}

/** Says how long to wait, in the answer's header as well. */
export const waitText = (request: FastifyRequest, reply: FastifyReply, waitMs: number): string => {
  reply.header('retry-after', String(Math.ceil(waitMs / 1000)))
  return translate(request.language, 'login.wait', { waitMs: Math.ceil(waitMs / 1000) * 1000 })
}

/** Too many passwords are being looked at. */
export const isBusy = (error: unknown): boolean => error instanceof BgtaskError && error.code === 'busy'

/** The same, as a sentence for the page that is answered with 503. */
export const busyText = (request: FastifyRequest, reply: FastifyReply): string => {
  reply.header('retry-after', '5')
  return translate(request.language, 'login.busy')
}

/** Behind TLS the cookie is sent over https alone, and only the proxy can say that this is https. */
const proxyProblem = ({ config }: Panel, request: FastifyRequest): string | null =>
  config.publicUrl?.startsWith('https:') && request.protocol !== 'https' ? translate(request.language, 'login.proxy') : null
