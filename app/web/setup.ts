import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { audited, noteAct } from '../api/audited.ts'
import { passwordProblem } from '../api/check-password.ts'
import { checkName, createFirstUser } from '../api/users.ts'
import { BgtaskError } from '../errors.ts'
import { findOnceLink, useOnceLink } from '../store/once-links.ts'
import { anyUser, type User } from '../store/users.ts'
import { told } from '../task/told.ts'
import { tell } from '../texts/tell.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { firstUserPurpose, linkHash, removeFirstRun } from './first-link.ts'
import { rememberDevice } from './known-device.ts'
import { signIn } from './login.ts'
import { type Panel, redirectWith } from './panel.ts'
import { rateLimits } from './rate-limits.ts'

/** The first administrator, by the one-time link from the terminal. Its token comes in a field, never in an address. */
export const registerSetup = (app: FastifyInstance, panel: Panel) => {
  const { db, config } = panel.background
  const limited = { config: { rateLimit: rateLimits.setup } }

  app.get('/setup', limited, async (_request, reply) =>
    (await anyUser(db)) ? over(reply, true) : reply.page('setup', { name: '', token: '', problem: null }),
  )

  app.post('/setup', limited, async (request, reply) => {
    const { name = '', password = '', repeated = '', token = '' } = fieldsOf(request.body)
    // Some paste the whole link.
    const given = token.slice(token.lastIndexOf('#') + 1).trim()
    const hash = linkHash(given)
    const again = (problem: string, status = 422) => reply.page('setup', { name: name.slice(0, 64), token: given, problem }, status)
    if (!(await isValid(panel, hash))) {
      await noteAct(db, actorOf(request, 'link'), { act: 'first-user-refused' })
      const isUnknown = (await findOnceLink(db, hash)) === null
      if (isUnknown && !(await anyUser(db))) return again(translate(request.language, 'setup.tokenWrong'), 410)
      return over(reply, await anyUser(db))
    }
    const problem = problemWith(request, { name, password, repeated })
    if (problem) return again(problem)
    let user: User
    try {
      user = await audited(
        db,
        { ...actorOf(request, 'link'), name: checkName(name) },
        { act: 'first-user', subject: checkName(name) },
        async () => {
          // Two at once make one user, in the database; the link only says who may try.
          const made = await createFirstUser(db, { name, password })
          if (!made) throw new BgtaskError('conflict', told`There is a user already.`)
          return made
        },
      )
    } catch (error) {
      if (error instanceof BgtaskError && error.code === 'conflict') return over(reply, true)
      throw error
    }
    await useOnceLink(db, hash, firstUserPurpose, Date.now())
    removeFirstRun(config.runtime)
    await signIn(panel, request, user, { via: 'link', secondFactor: false })
    rememberDevice(panel, reply, user)
    return redirectWith(request, reply, panel.root, { tone: 'good', text: translate(request.language, 'setup.done', { name: user.name }) })
  })
}

// Without a form: whoever sends somebody here must not replace that reader's session by a new one.
const over = (reply: FastifyReply, hasUsers: boolean) => reply.page('setup-over', { hasUsers, csrf: null }, 410)

const isValid = async ({ background: { db } }: Panel, hash: string): Promise<boolean> => {
  const link = await findOnceLink(db, hash)
  return link !== null && link.purpose === firstUserPurpose && link.usedAt === null && link.expiresAt > Date.now()
}

const problemWith = (request: FastifyRequest, { name, password, repeated }: Record<'name' | 'password' | 'repeated', string>) => {
  if (password !== repeated) return translate(request.language, 'password.differ')
  const weak = passwordProblem(password, name.trim())
  if (weak) return translate(request.language, weak.key, weak.values)
  try {
    checkName(name)
    return null
  } catch (error) {
    if (error instanceof BgtaskError && error.code === 'refused') return tell(request.language, error.sentence)
    throw error
  }
}
