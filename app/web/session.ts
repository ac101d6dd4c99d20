import { createHash } from 'node:crypto'
import cookie from '@fastify/cookie'
import csrfProtection from '@fastify/csrf-protection'
import session, { type SessionStore } from '@fastify/session'
import type { FastifyInstance, Session } from 'fastify'
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
    store: createStore(panel.background.db),
    // Cookies belong to a host whatever the port, so another panel on this machine must not share the name.
    cookieName: secure ? '__Host-bgtask' : `bgtask-${hostId(panel.config.runtime)}`,
    cookie: { httpOnly: true, sameSite: 'strict', path: '/', secure },
    saveUninitialized: false,
    rolling: false,
  })
  await app.register(csrfProtection, { sessionPlugin: '@fastify/session', logLevel: 'debug', getToken: request => formToken(request.body) })
}

/** Under what a session lies in the table. */
export const sessionHash = (sessionId: string): string => createHash('sha256').update(sessionId).digest('hex')

const formToken = (body: unknown): string | undefined => {
  const token = typeof body === 'object' && body !== null && '_csrf' in body ? body._csrf : undefined
  return typeof token === 'string' ? token : undefined
}

/** A visit is noted at most this often, so that reading pages writes next to nothing. */
const noteEveryMs = 60_000

const createStore = (db: Db): SessionStore => ({
  get: (sessionId, done) => {
    read(db, sessionHash(sessionId)).then(
      found => done(null, found),
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

const read = async (db: Db, idHash: string): Promise<Session | null> => {
  const now = Date.now()
  const row = await findSession(db, idHash)
  if (!row) return null
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
  await saveSession(db, session)
  data.stored = true
}

const expiry = (now: number, createdAt: number) => Math.min(now + idleMs, createdAt + absoluteMs)
