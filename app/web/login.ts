import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { checkLogin } from '../api/users.ts'
import { clearLoginFailures, findLoginFailures, noteLoginFailure } from '../store/login-throttle.ts'
import { anyUser } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { loginWaitMs, subjectsOf } from './login-wait.ts'
import { nextPath } from './next-path.ts'
import type { Panel } from './panel.ts'
import { sessionHash } from './session.ts'

export const registerLogin = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background

  app.get('/admin/login', { config: { rateLimit: { max: 120, timeWindow: '1 minute' } } }, async (request, reply) => {
    const next = nextPath(fieldsOf(request.query).next)
    if (request.user) {
      // Who comes from elsewhere is sent on, but what acts on a visit must not act on this one.
      request.session.arrivedFromElsewhere = true
      return reply.redirect(next, 303)
    }
    // A link elsewhere brings no cookie along (SameSite=Strict). The browser brings it when a page of ours asks once more; until then
    // there must be no form, since its token would begin a new session in place of the one that may be there.
    if (request.headers['sec-fetch-site'] === 'cross-site') return reply.page('login-continue', { next, csrf: null })
    return reply.page('login', { next, name: '', problem: proxyProblem(panel, request), hasUsers: await anyUser(db) })
  })

  app.post('/admin/login', { config: { rateLimit: { max: 30, timeWindow: '1 minute' } } }, async (request, reply) => {
    const { name = '', password = '', next } = fieldsOf(request.body)
    const again = (problem: string, status: number) =>
      reply.page('login', { next: nextPath(next), name: name.slice(0, 64), problem, hasUsers: true }, status)
    const subjects = subjectsOf(name, request.ip)
    const waitMs = loginWaitMs(await findLoginFailures(db, subjects), Date.now())
    if (waitMs > 0) {
      reply.header('retry-after', String(Math.ceil(waitMs / 1000)))
      return again(translate(request.language, 'login.wait', { waitMs: Math.ceil(waitMs / 1000) * 1000 }), 429)
    }
    const user = await checkLogin(db, name, password)
    if (!user) {
      await noteLoginFailure(db, subjects, Date.now())
      await noteAct(db, actorOf(request), { act: 'login-failed', subject: name.slice(0, 64) })
      return again(translate(request.language, 'login.wrong'), 401)
    }
    await clearLoginFailures(db, subjects)
    await signIn(panel, request, user)
    const path = nextPath(next)
    // A page elsewhere may have sent the visitor here to stop the loop: after the login that address asks, and does not act.
    if (path.startsWith('/admin/core/bgtask/restart')) request.session.arrivedFromElsewhere = true
    return reply.redirect(path, 303)
  })

  app.post('/admin/logout', async (request, reply) => {
    if (request.user) {
      await noteAct(db, actorOf(request), { act: 'logout' })
      panel.live.endSession(sessionHash(request.session.sessionId))
    }
    await request.session.destroy()
    return leave(reply)
  })
}

/** A new session id at each login, so that one planted before is worth nothing. */
export const signIn = async (panel: Panel, request: FastifyRequest, user: { id: number; name: string }) => {
  await request.session.regenerate()
  request.session.userId = user.id
  request.session.signedInAt = Date.now()
  await noteAct(panel.background.db, { ...actorOf(request), name: user.name }, { act: 'login' })
}

/** Behind TLS the cookie is sent over https alone, and only the proxy can say that this is https. */
const proxyProblem = ({ config }: Panel, request: FastifyRequest): string | null =>
  config.publicUrl?.startsWith('https:') && request.protocol !== 'https' ? translate(request.language, 'login.proxy') : null

const leave = (reply: FastifyReply) => reply.redirect('/admin/login', 303)
