import type { FastifyInstance } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { useOnceLink } from '../store/once-links.ts'
import { findUserById } from '../store/users.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { linkHash, loginPurpose } from './first-link.ts'
import { mayBeKeptBack } from './kept-back.ts'
import { enter } from './login.ts'
import type { Panel } from './panel.ts'
import { rateLimits } from './rate-limits.ts'

/**
 * Signs in by the one-time link that `user link <name>` prints: for whoever has the shell, when passwords are delayed, forgotten, or the
 * second factor is lost. Only a press of the button uses it up, so that a preview of the link does not.
 */
export const registerLoginLink = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background

  app.get('/login/link', { config: { rateLimit: rateLimits.setup } }, async (request, reply) =>
    // As at the login page: the form of somebody who comes from elsewhere would begin a new session in place of theirs.
    mayBeKeptBack(request, reply, panel.config)
      ? reply.page('login-link-continue', { csrf: null })
      : reply.page('login-link', { token: '' }),
  )

  app.post('/login/link', { config: { rateLimit: rateLimits.setup } }, async (request, reply) => {
    const link = await useOnceLink(db, linkHash((fieldsOf(request.body).token ?? '').trim()), loginPurpose, Date.now())
    const user = link === null ? null : await findUserById(db, Number(link.detail))
    if (!user) {
      await noteAct(db, actorOf(request, 'link'), { act: 'login-failed' })
      return reply.page('login-link-over', { csrf: null }, 410)
    }
    return enter(panel, request, reply, user, { next: panel.root, device: null, via: 'link' })
  })
}
