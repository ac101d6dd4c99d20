import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import encodeQR from 'qr'
import { audited } from '../api/audited.ts'
import { sessionsOf } from '../api/manage-users.ts'
import { bareCode, renewRecoveryCodes, startSecondFactor } from '../api/second-factor.ts'
import { newTotpSecret, totpStepOf, totpUri } from '../api/totp.ts'
import { BgtaskError } from '../errors.ts'
import { countRecoveryCodes } from '../store/recovery-codes.ts'
import { turnOffSecondFactor } from '../store/second-factor.ts'
import { findUserById } from '../store/users.ts'
import { translate } from '../texts/translate.ts'
import { actorOf } from './actor.ts'
import { fieldsOf } from './fields.ts'
import { type Panel, redirectWith } from './panel.ts'
import { type Problem, takeProof } from './prove.ts'
import { rateLimits } from './rate-limits.ts'
import { sessionHash } from './session.ts'
import { endStreams } from './user-sessions.ts'

const path = '/account/second-factor'

/** Everybody's own second factor: an app that shows a code every 30 seconds (TOTP), and recovery codes for when it is lost. */
export const registerSecondFactor = (app: FastifyInstance, panel: Panel) => {
  const { db } = panel.background
  const fresh = { config: { fresh: true, rateLimit: rateLimits.account } }

  app.get(path, { config: { fresh: true } }, async (request, reply) => statePage(panel, request, reply))

  app.post(path, fresh, async (request, reply) => {
    const user = request.user!
    const secret = request.session.newTotpSecret
    // The page that showed it belongs to another session, or it is on already: the page says how it stands now.
    if (secret === undefined) return reply.redirect(`${panel.root}${path}`, 303)
    const step = totpStepOf(secret, bareCode(fieldsOf(request.body).code ?? ''), Date.now())
    if (step === null) return statePage(panel, request, reply, { text: translate(request.language, 'secondFactor.wrong'), status: 422 })
    const exceptSession = sessionHash(request.session.sessionId)
    const others = (await sessionsOf(db, user.id)).map(({ idHash }) => idHash).filter(hash => hash !== exceptSession)
    const codes = await ifNotOn(() =>
      audited(db, actorOf(request), { act: 'second-factor-on', subject: user.name }, () =>
        startSecondFactor(db, user.id, { secret, step, exceptSession }),
      ),
    )
    if (codes === 'on') return reply.redirect(`${panel.root}${path}`, 303)
    request.session.newTotpSecret = undefined
    request.session.secondFactor = true
    endStreams(panel.live, others)
    return reply.page('second-factor-codes', { codes, isNew: true })
  })

  app.post(`${path}/recovery-codes`, fresh, async (request, reply) => {
    const user = request.user!
    const codes = await audited(db, actorOf(request), { act: 'recovery-codes-renewed', subject: user.name }, () =>
      renewRecoveryCodes(db, user.id),
    )
    return reply.page('second-factor-codes', { codes, isNew: false })
  })

  // Asked for in any case, however fresh the session is: a panel that was left open must not lose its second factor.
  app.post(`${path}/removal`, { config: { rateLimit: rateLimits.account } }, async (request, reply) => {
    const user = request.user!
    const { proof_password: password = '', proof_code: code = '' } = fieldsOf(request.body)
    const problem = await takeProof(panel, request, reply, { password, code })
    if (problem) return statePage(panel, request, reply, problem)
    await audited(db, actorOf(request), { act: 'second-factor-off', subject: user.name }, () => turnOffSecondFactor(db, user.id))
    return redirectWith(request, reply, `${panel.root}${path}`, { tone: 'good', text: translate(request.language, 'secondFactor.isOff') })
  })
}

const statePage = async (panel: Panel, request: FastifyRequest, reply: FastifyReply, problem: Problem | null = null) => {
  const { db } = panel.background
  const user = await findUserById(db, request.user!.id)
  const shared = { problem: problem?.text ?? null, isOn: (user?.totpSecret ?? null) !== null }
  if (shared.isOn) {
    const left = await countRecoveryCodes(db, request.user!.id)
    return reply.page('second-factor', { ...shared, left }, problem?.status ?? 200)
  }
  // Kept until it is turned on: a page that is loaded anew must not show another one than the app has just read.
  request.session.newTotpSecret ??= newTotpSecret()
  const secret = request.session.newTotpSecret
  const uri = totpUri(secret, { user: request.user!.name, panel: `bgtask (${hostOf(panel, request)})` })
  return reply.page('second-factor', { ...shared, secret: inFours(secret), uri, qr: qrOf(uri) }, problem?.status ?? 200)
}

const ifNotOn = async <T>(work: () => Promise<T>): Promise<T | 'on'> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BgtaskError && error.code === 'conflict') return 'on'
    throw error
  }
}

const hostOf = ({ config }: Panel, request: FastifyRequest) => new URL(config.publicUrl ?? `http://${request.headers.host}`).hostname

const inFours = (secret: string) => secret.replace(/(.{4})(?=.)/g, '$1 ')

/** As an SVG path: a bar for each stretch of dark modules of a row, in the units of the view box. */
const qrOf = (text: string): { size: number; path: string } => {
  const rows = encodeQR(text, 'raw', { ecc: 'medium', border: 4 })
  const path = rows.flatMap((row, y) => {
    const line = row.map(dark => (dark ? '#' : ' ')).join('')
    return [...line.matchAll(/#+/g)].map(bar => `M${bar.index} ${y}h${bar[0].length}v1h-${bar[0].length}z`)
  })
  return { size: rows.length, path: path.join('') }
}
