import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Act, audited } from '../api/audited.ts'
import { passwordProblem } from '../api/check-password.ts'
import { changeRole, removeUser, requirePerson, sessionsOf, UserRefused } from '../api/manage-users.ts'
import { changePassword, checkName, createUser, normalName, roles } from '../api/users.ts'
import { BgtaskError } from '../errors.ts'
import { listPeople, type Person } from '../store/list-people.ts'
import { NotAdmin } from '../store/lock-users.ts'
import { turnOffSecondFactor } from '../store/second-factor.ts'
import { type TextKey, type TextValues, translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { WebError } from './explain-error.ts'
import { fieldsOf } from './fields.ts'
import { type Panel, redirectWith } from './panel.ts'
import { rateLimits } from './rate-limits.ts'
import { parseTaskId } from './task-id.ts'
import { endAllSessions, endOneSession, endStreams, shownSessions } from './user-sessions.ts'

const path = '/config/users'
const fresh = { config: { fresh: true } }
/** A password is hashed, which costs. */
const hashing = { config: { fresh: true, rateLimit: rateLimits.account } }

/** Who may come in, for administrators. Nobody changes themselves here: that is what the account page is for. */
export const registerUsers = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const list = `${panel.root}${path}`
  const at = ({ id }: { id: number }) => `${list}/${id}`

  app.get(path, async (_request, reply) => reply.page('users', { people: await listPeople(db, Date.now()) }))

  app.get(`${path}/new`, fresh, async (_request, reply) => reply.page('user-new', { name: '', role: 'viewer', roles, problem: null }))

  app.post(path, hashing, async (request, reply) => {
    const { name = '', role = '', password = '', repeated = '' } = fieldsOf(request.body)
    const again = (problem: string, status = 422) =>
      reply.page('user-new', { here: `${list}/new`, name: name.slice(0, 64), role, roles, problem }, status)
    const say = (key: TextKey, values?: TextValues) => translate(request.language, key, values)
    const known = roles.find(one => one === role)
    if (!known) return again(say('users.badRole'))
    if (!isName(name)) return again(say('users.badName'))
    // Who was asked for the own password in between has to type this one anew.
    if (password === '') return again(say('users.passwordMissing'))
    if (password !== repeated) return again(say('password.differ'))
    const problem = passwordProblem(password, name)
    if (problem) return again(say(problem.key, problem.values))
    const act = { act: 'user-added', subject: normalName(name), detail: known }
    try {
      const user = await audited(db, actorOf(request), act, () => createUser(db, { name, password, role: known }, byOf(request)))
      return redirectWith(request, reply, at(user), { tone: 'good', text: say('users.added', { name: user.name }) })
    } catch (error) {
      if (error instanceof NotAdmin) throw notAdmin()
      if (error instanceof BgtaskError && error.code === 'conflict') return again(say('users.taken'), 409)
      throw error
    }
  })

  const page = async (request: FastifyRequest, reply: FastifyReply, person: Person, problem: string | null, status = 200) =>
    reply.page(
      'user',
      { here: at(person), path: at(person), person, roles, sessions: await shownSessions(db, request, person.id), problem },
      status,
    )

  app.get(`${path}/:id`, async (request, reply) => page(request, reply, await personOf(panel, request), null))

  /** One change to one user: asked for by an administrator, about somebody else, and answered on the page of that user. */
  const change = (noun: string, act: (changing: Changing) => Promise<Done>) =>
    app.post(`${path}/:id/${noun}`, noun === 'password' ? hashing : fresh, async (request, reply) => {
      const person = await personOf(panel, request)
      const say = (key: TextKey, values?: TextValues) => translate(request.language, key, values)
      if (person.id === request.user!.id) return page(request, reply, person, say('users.yourself'), 409)
      const note = <T>(done: Act, work: () => Promise<T>) => audited(db, actorOf(request), { subject: person.name, ...done }, work)
      try {
        const { key, values = {}, to = at(person) } = await act({ request, person, fields: fieldsOf(request.body), note })
        return redirectWith(request, reply, to, { tone: 'good', text: say(key, { name: person.name, ...values }) })
      } catch (error) {
        if (error instanceof NotAdmin) throw notAdmin()
        const problem = problemOf(error)
        if (!problem) throw error
        return page(request, reply, await personOf(panel, request), say(problem.key, problem.values), problem.status)
      }
    })
  const ending = ({ request, person }: Changing) => ({ db, live: panel.live, actor: actorOf(request), user: person, by: byOf(request) })

  change('role', async ({ request, person, fields, note }) => {
    const role = roles.find(one => one === fields.role)
    if (!role) throw new Mistake('users.badRole')
    const detail = `${person.role} to ${role}`
    const { sessions, tokens } = await note({ act: 'user-role', detail }, () => changeRole(db, request.user, person.id, role))
    // What they watch was drawn for the old role; the browser asks again by itself.
    endStreams(panel.live, sessions)
    return { key: tokens > 0 ? 'users.roleChangedTokens' : 'users.roleChanged', values: { tokens } }
  })

  change('password', async ({ request, person, fields: { password = '', repeated = '' }, note }) => {
    if (password === '') throw new Mistake('users.passwordMissing')
    if (password !== repeated) throw new Mistake('password.differ')
    const problem = passwordProblem(password, person.name)
    if (problem) throw new Mistake(problem.key, problem.values)
    const open = (await sessionsOf(db, person.id)).map(({ idHash }) => idHash)
    await note({ act: 'password-changed' }, () => changePassword(db, person.name, password, undefined, byOf(request)))
    endStreams(panel.live, open)
    return { key: 'users.passwordSet' }
  })

  change('session-end', async changing => {
    await endOneSession(ending(changing), changing.fields.session ?? '')
    return { key: 'session.ended' }
  })

  change('sessions-end', async changing => ({ key: 'users.sessionsEnded', values: { n: await endAllSessions(ending(changing)) } }))

  change('second-factor-reset', async ({ request, person, note }) => {
    await note({ act: 'second-factor-reset' }, () => turnOffSecondFactor(db, person.id, byOf(request)))
    return { key: 'users.secondFactorReset' }
  })

  change('removal', async ({ request, person, note }) => {
    const { sessions, tokens } = await note({ act: 'user-removed', detail: person.role }, () => removeUser(db, request.user, person.id))
    endStreams(panel.live, sessions)
    return { key: 'users.removed', values: { sessions: sessions.length, tokens }, to: list }
  })
}

/** The administrator who asks, for who asks again whether they still are one. */
const byOf = (request: FastifyRequest) => ({ userId: request.user!.id })

/** A page of its own: whoever is no administrator any more is shown nothing of users. */
const notAdmin = () => new WebError(403, 'users.refused.not-admin')

interface Changing {
  request: FastifyRequest
  person: Person
  fields: Record<string, string>
  /** Does the work with its audit row, about this person. */
  note: <T>(act: Act, work: () => Promise<T>) => Promise<T>
}

interface Done {
  key: TextKey
  values?: TextValues
  /** Where it goes on; default: the page of that user. */
  to?: string
}

/** What was typed cannot be used. */
class Mistake extends Error {
  readonly key: TextKey
  readonly values: TextValues
  constructor(key: TextKey, values: TextValues = {}) {
    super(key)
    this.key = key
    this.values = values
  }
}

/** What belongs on the page of that user; null: no matter of theirs. */
const problemOf = (error: unknown): { key: TextKey; values: TextValues; status: number } | null => {
  if (error instanceof Mistake) return { key: error.key, values: error.values, status: 422 }
  if (error instanceof UserRefused) return { key: `users.refused.${error.refusal}`, values: {}, status: error.httpStatus }
  return null
}

const isName = (name: string): boolean => {
  try {
    checkName(name)
    return true
  } catch (error) {
    if (error instanceof BgtaskError) return false
    throw error
  }
}

const personOf = async ({ background: { db } }: Panel, request: FastifyRequest): Promise<Person> => {
  // An id that can be none is one of nobody.
  const id = parseTaskId((request.params as { id: string }).id)
  return requirePerson(db, id ?? 0)
}
