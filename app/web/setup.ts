import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { createFirstUser } from '../api/users.ts'
import { BgtaskError } from '../errors.ts'
import { findOnceLink, useOnceLink } from '../store/once-links.ts'
import { anyUser } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { firstUserPurpose, linkHash } from './first-link.ts'
import { signIn } from './login.ts'
import { type Panel, redirectWith } from './panel.ts'

/** The first administrator, by the one-time link from the terminal. */
export const registerSetup = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const limited = { config: { rateLimit: { max: 60, timeWindow: '1 minute' } } }

  app.get('/admin/setup/:token', limited, async (request, reply) => {
    if (!(await isValid(panel, request))) return over(reply, await anyUser(db))
    return reply.page('setup', { name: 'admin', problem: null })
  })

  app.post('/admin/setup/:token', limited, async (request, reply) => {
    if (!(await isValid(panel, request))) return over(reply, await anyUser(db))
    const { name = '', password = '', repeated = '' } = fieldsOf(request.body)
    const again = (problem: string, status: number) => reply.page('setup', { name: name.slice(0, 64), problem }, status)
    if (password !== repeated) return again(translate(request.language, 'password.differ'), 422)
    let user: Awaited<ReturnType<typeof createFirstUser>>
    try {
      // The user first: a password that is refused must not use up the link. Two at once make one user, in the database.
      user = await createFirstUser(db, { name, password })
    } catch (error) {
      if (error instanceof BgtaskError && error.code === 'refused') return again(error.message, 422)
      throw error
    }
    await useOnceLink(db, linkHash(tokenOf(request)), firstUserPurpose, Date.now())
    if (!user) return over(reply, true)
    await noteAct(db, { ...actorOf(request), name: user.name }, { act: 'first-user', subject: user.name })
    await signIn(panel, request, user)
    return redirectWith(request, reply, '/admin', { tone: 'good', text: translate(request.language, 'setup.done', { name: user.name }) })
  })
}

// Without a form: whoever sends somebody here must not replace that reader's session by a new one.
const over = (reply: FastifyReply, hasUsers: boolean) => reply.page('setup-over', { hasUsers, csrf: null }, 410)

const tokenOf = (request: FastifyRequest) => (request.params as { token: string }).token

const isValid = async ({ background: { db } }: Panel, request: FastifyRequest): Promise<boolean> => {
  const link = await findOnceLink(db, linkHash(tokenOf(request)))
  return link !== null && link.purpose === firstUserPurpose && link.usedAt === null && link.expiresAt > Date.now()
}
