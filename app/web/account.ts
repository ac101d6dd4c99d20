import type { FastifyInstance } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { changePassword, checkLogin } from '../api/users.ts'
import { BgtaskError } from '../errors.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { signIn } from './login.ts'
import { type Panel, redirectWith } from './panel.ts'
import { sessionHash } from './session.ts'

export const registerAccount = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background

  app.get('/admin/account', async (_request, reply) => reply.page('account', { problem: null }))

  app.post('/admin/account', { config: { rateLimit: { max: 20, timeWindow: '1 minute' } } }, async (request, reply) => {
    const user = request.user!
    const { current = '', password = '', repeated = '' } = fieldsOf(request.body)
    const again = (problem: string) => reply.page('account', { problem }, 422)
    if (password !== repeated) return again(translate(request.language, 'password.differ'))
    if (!(await checkLogin(db, user.name, current))) return again(translate(request.language, 'account.wrong'))
    try {
      await changePassword(db, user.name, password)
    } catch (error) {
      if (error instanceof BgtaskError && error.code === 'refused') return again(error.message)
      throw error
    }
    await noteAct(db, { ...actorOf(request), name: user.name }, { act: 'password-changed', subject: user.name })
    panel.live.endSession(sessionHash(request.session.sessionId))
    // All sessions ended with the old password; this one goes on under a new id.
    await signIn(panel, request, user)
    return redirectWith(request, reply, '/admin/account', { tone: 'good', text: translate(request.language, 'account.changed') })
  })
}
