import { createHash, createHmac } from 'node:crypto'
import cookie from '@fastify/cookie'
import csrfProtection from '@fastify/csrf-protection'
import session, { type SessionStore } from '@fastify/session'
import type { FastifyInstance, FastifyRequest, Session } from 'fastify'
import { hostId } from '../runs/host-id.ts'
import type { Db } from '../store/database.ts'
import { deleteSession, findSession, saveSession, touchSession, updateSession } from '../store/sessions.ts'
import type { Panel } from './panel.ts'

/** Without a request for this long, or this long after logging in, a session is over. */
export const idleMs = 30 * 60_000
export const absoluteMs = 12 * 3_600_000

/** Sessions live in the database, under the hash of their id: they can be ended from here, and a copy of the table opens none. */
export const registerSessions = async (app: FastifyInstance, panel: Panel) => {
  const secure = panel.config.publicUrl?.startsWith('https:') ?? false
  await app.register(cookie)
  await app.register(session, {
    secret: panel.secret,
    store: createStore(panel),
    // Cookies belong to a host whatever the port, so another panel on this machine must not share the name.
    cookieName: secure && panel.top === '' ? '__Host-bgtask' : `${secure ? '__Host-' : ''}bgtask-${hostId(panel.config.runtime)}`,
    cookie: { httpOnly: true, sameSite: 'strict', path: secure ? '/' : panel.top || '/', secure },
    saveUninitialized: false,
    rolling: false,
  })
  await app.register(csrfProtection, { sessionPlugin: '@fastify/session', logLevel: 'debug', getToken: request => formToken(request.body) })
}

/** Under what a session lies in the table. */
export const sessionHash = (sessionId: string): string => createHash('sha256').update(sessionId).digest('hex')

/**
 * Before the login, the secret behind the tokens in a form follows from the session's id, which its signed cookie holds: so a form can be shown,
 * and comes back, before there is anything to store. Tokens of a session that was signed in are of another secret, and end with it.
 */
export const prepareForms = ({ session }: FastifyRequest, secret: string): void => {
  const { userId, stored, _csrf }: FastifyRequest['session'] & { _csrf?: string } = session
  if (userId === undefined && !stored && _csrf === undefined) Object.assign(session, { _csrf: csrfSecret(secret, session.sessionId) })
}

const csrfSecret = (secret: string, sessionId: string) => createHmac('sha256', secret).update(`csrf ${sessionId}`).digest('base64url')

const formToken = (body: unknown): string | undefined => {
  const token = typeof body === 'object' && body !== null && '_csrf' in body ? body._csrf : undefined
  return typeof token === 'string' ? token : undefined
}

/** A visit is noted at most this often, so that reading pages writes next to nothing. */
const noteEveryMs = 60_000

const createStore = ({ background: { db }, secret }: Panel): SessionStore => ({
  get: (sessionId, done) => {
    read(db, sessionHash(sessionId)).then(
      found => done(null, found === 'none' ? ({ _csrf: csrfSecret(secret, sessionId) } as unknown as Session) : found),
      error => done(error),
    )
  },
  set: (sessionId, data, done) => {
    write(db, sessionHash(sessionId), data as Session).then(
      () => done(),
      error => done(error),
    )
  },
  destroy: (sessionId, done) => {
    deleteSession(db, sessionHash(sessionId)).then(
      () => done(),
      error => done(error),
    )
  },
})

/** @returns null when it has expired */
const read = async (db: Db, idHash: string): Promise<Session | 'none' | null> => {
  const now = Date.now()
  const row = await findSession(db, idHash)
  if (!row) return 'none'
  if (row.expiresAt <= now) {
    await deleteSession(db, idHash)
    return null
  }
  if (now - row.seenAt > noteEveryMs) await touchSession(db, idHash, { seenAt: now, expiresAt: expiry(now, row.createdAt) })
  return { ...JSON.parse(row.data), stored: true } as Session
}

const write = async (db: Db, idHash: string, data: Session) => {
  const now = Date.now()
  const createdAt = data.signedInAt ?? now
  const session = {
    idHash,
    userId: data.userId ?? null,
    data: JSON.stringify({ ...data, stored: undefined, from: undefined }),
    createdAt,
    seenAt: now,
    expiresAt: expiry(now, createdAt),
    ...data.from,
  }
  // One that was ended while this request was under way stays ended.
  if (data.stored) return updateSession(db, session)
  if (holdsNothing(data)) return
  await saveSession(db, session)
  data.stored = true
}

// Whoever merely looks at the login page costs no row and no flush to the disk, however often it is asked for.
const holdsNothing = ({ cookie: _, _csrf, ...rest }: Session & { _csrf?: string }) =>
  Object.values(rest).every(value => value === undefined)

const expiry = (now: number, createdAt: number) => Math.min(now + idleMs, createdAt + absoluteMs)
