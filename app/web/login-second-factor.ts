import type { FastifyInstance, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { takeCode } from '../api/second-factor.ts'
import { takeLoginTry } from '../store/login-throttle.ts'
import { findUserById, type User } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { knownDevice, loginKeyOf } from './known-device.ts'
import { enter, waitText } from './login.ts'
import { codeSubjectsOf, loginWaitMs } from './login-wait.ts'
import type { Panel } from './panel.ts'
import { rateLimits } from './rate-limits.ts'

/** Between the password and the code there are at most so many milliseconds. */
export const halfLoginMs = 5 * 60_000

/** The second half of a login: who gave the password is asked for a code, and until then is nobody. */
export const registerLoginSecondFactor = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const limited = { config: { rateLimit: { ...rateLimits.login, keyGenerator: loginKeyOf(panel) } } }

  app.get('/login/second-factor', limited, async (request, reply) => {
    if (!(await halfLoggedIn(panel, request))) return reply.redirect(`${panel.root}/login`, 303)
    return reply.page('login-second-factor', { problem: null })
  })

  app.post('/login/second-factor', limited, async (request, reply) => {
    const user = await halfLoggedIn(panel, request)
    if (!user) return reply.redirect(`${panel.root}/login`, 303)
    const device = knownDevice(panel, request, user)
    const again = (problem: string, status: number) => reply.page('login-second-factor', { problem }, status)
    const subjects = codeSubjectsOf({ userId: user.id, device })
    const waitMs = await takeLoginTry(db, subjects, Date.now(), failures => loginWaitMs(failures, Date.now()))
    if (waitMs > 0) return again(waitText(request, reply, waitMs), 429)
    const kind = await takeCode(db, user, fieldsOf(request.body).code ?? '')
    if (!kind) {
      await noteAct(db, actorOf(request), { act: 'second-factor-failed', subject: user.name })
      return again(translate(request.language, 'secondFactor.wrong'), 401)
    }
    return enter(panel, request, reply, user, { next: request.session.half!.next, device, detail: kind })
  })
}

/** Who gave the password of an account, less than five minutes ago and not one that was changed or freed of its second factor since. */
const halfLoggedIn = async ({ background: { db } }: Panel, request: FastifyRequest): Promise<User | null> => {
  const { half } = request.session
  if (!half || Date.now() - half.at > halfLoginMs) return null
  const user = await findUserById(db, half.userId)
  return user?.passwordChangedAt === half.passwordChangedAt && user.totpSecret !== null ? user : null
}
