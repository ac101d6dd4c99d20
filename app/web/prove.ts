import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { noteAct } from '../api/audited.ts'
import { takeCode } from '../api/second-factor.ts'
import { checkLogin } from '../api/users.ts'
import { commandAction } from '../commands/command-name.ts'
import { findSchedule } from '../store/find-schedule.ts'
import { findTask } from '../store/find-task.ts'
import { clearLoginFailures, giveBackLoginTry, takeLoginTry } from '../store/login-throttle.ts'
import { findUserById } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { busyText, isBusy, waitText } from './login.ts'
import { loginWaitMs, proofSubjectsOf } from './login-wait.ts'
import { nextPath } from './next-path.ts'
import type { Panel } from './panel.ts'
import { rateLimits } from './rate-limits.ts'
import { parseTaskId } from './task-id.ts'

/** Having given the password counts for so long. */
export const provedMs = 5 * 60_000

/**
 * Routes with `config: { fresh: true }`, or a function that says so, are only for who has given the password in the last five minutes: a login counts. Everybody else
 * with a session is asked for it, in place, with a code when the second factor is on; then goes on what was asked for. A form loses no
 * field but those of passwords and codes, which are typed anew. Requests with a token have no session and are not asked.
 */
export const guardProof = (app: FastifyInstance, panel: Panel) =>
  app.addHook('preHandler', async (request, reply) => {
    const { fresh = false } = request.routeOptions.config
    if (request.is404 || !request.user || isFresh(request)) return
    if (!(typeof fresh === 'function' ? await fresh(request) : fresh)) return
    if (request.method === 'GET')
      return ask(panel, request, reply, { action: `${panel.root}/prove`, fields: [['next', nextPath(request.url, panel.root)]] })
    const given = fieldsOf(request.body)
    const form = { action: request.url, fields: kept(request.body) }
    if (given.proof_password === undefined) return ask(panel, request, reply, form)
    const problem = await takeProof(panel, request, reply, { password: given.proof_password, code: given.proof_code ?? '' })
    if (problem) return ask(panel, request, reply, form, problem)
    // At once: an answer that is streamed saves no session at its end.
    await request.session.save()
  })

/**
 * For `fresh`: whether the task that the address names is a command. Commands are run by who has given the password lately, also where a button
 * does the same to any task.
 */
export const isCommandTask =
  ({ background: { db } }: Pick<Panel, 'background'>) =>
  async (request: FastifyRequest) => {
    const id = parseTaskId((request.params as { id: string }).id)
    return id !== null && (await findTask(db, id))?.action === commandAction
  }

/** The same of a schedule, which runs later what it says, or of one that is to be made. */
export const isCommandSchedule =
  ({ background: { db } }: Pick<Panel, 'background'>) =>
  async (request: FastifyRequest) => {
    const { id: given } = request.params as { id?: string }
    if (given === undefined) return fieldsOf(request.body).action === commandAction
    const id = parseTaskId(given)
    return id !== null && (await findSchedule(db, { id }))?.action === commandAction
  }

/** Where a page that was asked for waits until the password is given. */
export const registerProve = (app: FastifyInstance, panel: Panel) =>
  app.post('/prove', { config: { rateLimit: rateLimits.account } }, async (request, reply) => {
    const { next, proof_password: password = '', proof_code: code = '' } = fieldsOf(request.body)
    const problem = await takeProof(panel, request, reply, { password, code })
    if (problem)
      return ask(panel, request, reply, { action: `${panel.root}/prove`, fields: [['next', nextPath(next, panel.root)]] }, problem)
    return reply.redirect(nextPath(next, panel.root), 303)
  })

export interface Problem {
  text: string
  status: number
}

/**
 * Takes password and, when the second factor is on, a code of who is signed in. From then on the session is fresh.
 * @returns what is wrong, for the page that asked; null: nothing
 */
export const takeProof = async (
  panel: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  { password, code }: { password: string; code: string },
): Promise<Problem | null> => {
  const { db } = panel.background
  const { id, name } = request.user!
  const subjects = proofSubjectsOf(id)
  const waitMs = await takeLoginTry(db, subjects, Date.now(), failures => loginWaitMs(failures, Date.now()))
  if (waitMs > 0) return { text: waitText(request, reply, waitMs), status: 429 }
  try {
    const user = await checkLogin(db, name, password)
    if (user?.id !== id || (user.totpSecret !== null && !(await takeCode(db, user, code)))) {
      await noteAct(db, actorOf(request), { act: 'proof-failed', subject: name })
      return { text: translate(request.language, user?.totpSecret ? 'prove.wrongBoth' : 'prove.wrong'), status: 401 }
    }
  } catch (error) {
    if (!isBusy(error)) throw error
    await giveBackLoginTry(db, subjects)
    return { text: busyText(request, reply), status: 503 }
  }
  await noteAct(db, actorOf(request), { act: 'proved', subject: name })
  await clearLoginFailures(db, subjects)
  request.session.provedAt = Date.now()
  return null
}

const isFresh = ({ session }: FastifyRequest) => session.provedAt !== undefined && Date.now() - session.provedAt < provedMs

const ask = async (
  { background: { db } }: Panel,
  request: FastifyRequest,
  reply: FastifyReply,
  form: { action: string; fields: [string, string][] },
  problem: Problem | null = null,
) => {
  const user = await findUserById(db, request.user!.id)
  const model = { ...form, problem: problem?.text ?? null, hasSecondFactor: (user?.totpSecret ?? null) !== null }
  return reply.page('prove', model, problem?.status ?? 403)
}

/** The fields as they came, each as often as it came. */
const kept = (body: unknown): [string, string][] =>
  Object.entries((body ?? {}) as Record<string, unknown>).flatMap(([name, value]) =>
    dropped.has(name) ? [] : [value].flat().flatMap((one): [string, string][] => (typeof one === 'string' ? [[name, one]] : [])),
  )

/** The token is given anew with the page; what is secret is typed anew, and does not lie in a page meanwhile. */
const dropped = new Set(['_csrf', 'proof_password', 'proof_code', 'password', 'repeated', 'current', 'code'])
