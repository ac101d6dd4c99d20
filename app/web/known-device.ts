import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hostId } from '../runs/host-id.ts'
import type { User } from '../store/users.ts'
import { networkOf } from './login-wait.ts'
import type { Panel } from './panel.ts'

/**
 * A browser that has signed in to an account keeps a cookie that says so. It opens nothing. It only lets its owner try a password without
 * waiting for the delay that strangers have caused (OWASP "device cookies"). It ends with the password and after half a year.
 */
export const rememberDevice = (panel: Panel, reply: FastifyReply, user: Pick<User, 'id' | 'passwordChangedAt'>): void => {
  const facts = [user.id, user.passwordChangedAt, Date.now() + lifetimeMs, randomBytes(16).toString('base64url')].join('.')
  reply.setCookie(cookieName(panel, user.id), `${facts}.${seal(panel, facts)}`, {
    path: isSecure(panel) ? '/' : panel.top || '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: isSecure(panel),
    maxAge: lifetimeMs / 1000,
  })
}

/** @returns the name of the device; null when this browser has not signed in to that account since its password was changed */
export const knownDevice = (panel: Panel, request: FastifyRequest, user: Pick<User, 'id' | 'passwordChangedAt'> | null): string | null => {
  if (user === null) return null
  const found = read(panel, request.cookies[cookieName(panel, user.id)])
  return found?.userId === user.id && found.passwordChangedAt === user.passwordChangedAt ? found.nonce : null
}

/** Whom the rate limit of the login counts a request for: a device that has signed in before, whatever its account, else the address. */
export const loginKeyOf =
  (panel: Panel) =>
  (request: FastifyRequest): string => {
    const prefix = cookieName(panel, '')
    for (const [name, value] of Object.entries(request.cookies)) {
      const found = name.startsWith(prefix) ? read(panel, value) : null
      if (found) return `device:${found.nonce}`
    }
    return networkOf(request.ip)
  }

const lifetimeMs = 180 * 86_400_000

const isSecure = ({ config }: Panel) => config.publicUrl?.startsWith('https:') ?? false

// One for each account, since several people may use one browser. The ports of a host share its cookies, so the host id tells panels apart.
const cookieName = (panel: Panel, userId: number | '') =>
  isSecure(panel) && panel.top === ''
    ? `__Host-known-bgtask-${userId}`
    : `${isSecure(panel) ? '__Host-' : ''}known-bgtask-${hostId(panel.config.runtime)}-${userId}`

const seal = ({ secret }: Pick<Panel, 'secret'>, facts: string) =>
  createHmac('sha256', secret).update(`device ${facts}`).digest('base64url')

const read = (panel: Panel, cookie: string | undefined) => {
  const [userId, passwordChangedAt, until, nonce, given, ...rest] = (cookie ?? '').split('.')
  if (given === undefined || rest.length > 0 || !(Number(until) > Date.now())) return null
  const expected = Buffer.from(seal(panel, [userId, passwordChangedAt, until, nonce].join('.')))
  const got = Buffer.from(given)
  if (got.length !== expected.length || !timingSafeEqual(got, expected)) return null
  return { userId: Number(userId), passwordChangedAt: Number(passwordChangedAt), nonce: nonce! }
}
