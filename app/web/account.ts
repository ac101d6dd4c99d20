import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { audited } from '../api/audited.ts'
import { passwordProblem } from '../api/check-password.ts'
import { requirePerson, sessionsOf, UserRefused } from '../api/manage-users.ts'
import { changePassword } from '../api/users.ts'
import { findUserById } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { rememberDevice } from './known-device.ts'
import { signIn } from './login.ts'
import { type Panel, redirectWith } from './panel.ts'
import { takeProof } from './prove.ts'
import { rateLimits } from './rate-limits.ts'
import { absoluteMs, idleMs, sessionHash } from './session.ts'
import { endAllSessions, endOneSession, endStreams, shownSessions } from './user-sessions.ts'

const path = '/account'

/** What everybody may do about themselves: the password, the second factor, the sessions. */
export const registerAccount = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const home = `${panel.root}${path}`

  const page = async (request: FastifyRequest, reply: FastifyReply, problem: string | null, status = 200) => {
    const person = await requirePerson(db, request.user!.id)
    const sessions = await shownSessions(db, request, person.id)
    return reply.page('account', { here: home, path: home, person, sessions, sessionLimits: { idleMs, absoluteMs }, problem }, status)
  }
  const ending = (request: FastifyRequest) => ({ db, live: panel.live, actor: actorOf(request), user: request.user! })

  app.get(path, async (request, reply) => page(request, reply, null))

  app.post(path, { config: { rateLimit: rateLimits.account } }, async (request, reply) => {
    const user = request.user!
    const { current = '', password = '', repeated = '', code = '' } = fieldsOf(request.body)
    const again = (problem: string, status = 422) => page(request, reply, problem, status)
    if (password !== repeated) return again(translate(request.language, 'password.differ'))
    const problem = passwordProblem(password, user.name)
    if (problem) return again(translate(request.language, problem.key, problem.values))
    // Whoever has found an open session must neither guess the password here, nor get past the second factor with it.
    const unproved = await takeProof(panel, request, reply, { password: current, code })
    if (unproved) return again(unproved.text, unproved.status)
    const open = (await sessionsOf(db, user.id)).map(({ idHash }) => idHash)
    await audited(db, actorOf(request), { act: 'password-changed', subject: user.name }, () => changePassword(db, user.name, password))
    endStreams(panel.live, open)
    const changed = await findUserById(db, user.id)
    if (!changed) return reply.redirect(`${panel.root}/login`, 303)
    // All sessions ended with the old password; this one goes on under a new id.
    await signIn(panel, request, changed, { secondFactor: changed.totpSecret !== null })
    rememberDevice(panel, reply, changed)
    return redirectWith(request, reply, home, { tone: 'good', text: translate(request.language, 'account.changed') })
  })

  app.post(`${path}/session-end`, async (request, reply) => {
    const idHash = fieldsOf(request.body).session ?? ''
    try {
      await endOneSession(ending(request), idHash)
    } catch (error) {
      if (error instanceof UserRefused)
        return page(request, reply, translate(request.language, `users.refused.${error.refusal}`), error.httpStatus)
      throw error
    }
    if (idHash !== sessionHash(request.session.sessionId)) {
      return redirectWith(request, reply, home, { tone: 'good', text: translate(request.language, 'session.ended') })
    }
    await request.session.destroy()
    return reply.redirect(`${panel.root}/login`, 303)
  })

  app.post(`${path}/sessions-end`, async (request, reply) => {
    const n = await endAllSessions(ending(request), sessionHash(request.session.sessionId))
    return redirectWith(request, reply, home, { tone: 'good', text: translate(request.language, 'session.othersEnded', { n }) })
  })
}
