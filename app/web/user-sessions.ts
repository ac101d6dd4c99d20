import type { FastifyRequest } from 'fastify'
import { type Actor, audited } from '../api/audited.ts'
import { endSession, endSessions, requireSession, sessionsOf } from '../api/manage-users.ts'
import type { Db } from '../store/database.ts'
import type { By } from '../store/lock-users.ts'
import type { Session } from '../store/sessions.ts'
import type { Language } from '../texts/format.ts'
import { translate } from '../texts/translate.ts'
import { deviceName } from './device-name.ts'
import type { LiveHub } from './live-hub.ts'
import { sessionHash } from './session.ts'

/** A session as the list of sessions shows it. Times are milliseconds since 1970. */
export interface ShownSession {
  idHash: string
  /** "Firefox on Linux", in the reader's language. */
  device: string
  handheld: boolean
  ip: string | null
  createdAt: number
  seenAt: number
  /** The one in which the list is read. */
  isThis: boolean
}

/** Of a user, for the reader of this request: the one in which it is read first, then by when they were last used. */
export const shownSessions = async (db: Db, request: FastifyRequest, userId: number): Promise<ShownSession[]> => {
  const own = sessionHash(request.session.sessionId)
  const shown = (await sessionsOf(db, userId)).map(session => show(session, request.language, own))
  return [...shown.filter(({ isThis }) => isThis), ...shown.filter(({ isThis }) => !isThis)]
}

interface Ending {
  db: Db
  live: LiveHub
  actor: Actor
  /** Whose it is. */
  user: { id: number; name: string }
  /** The administrator who asks, about somebody else; absent: they themselves. */
  by?: By
}

/** Ends one session of that user, with its streams. @throws UserRefused `session-gone`: it is somebody else's, or over already @throws NotAdmin */
export const endOneSession = async ({ db, live, actor, user, by }: Ending, idHash: string): Promise<void> => {
  const session = await requireSession(db, user.id, idHash)
  const detail = [deviceText('en', session), session.ip].filter(Boolean).join(', ')
  await audited(db, actor, { act: 'session-ended', subject: user.name, detail }, () => endSession(db, user.id, idHash, by))
  live.endSession(idHash)
}

/** Ends all sessions of that user, with their streams. @param exceptHash the one that goes on @returns how many ended @throws NotAdmin */
export const endAllSessions = async ({ db, live, actor, user, by }: Ending, exceptHash?: string): Promise<number> => {
  const detail = exceptHash === undefined ? null : 'all others'
  const ended = await audited(db, actor, { act: 'sessions-ended', subject: user.name, detail }, () =>
    endSessions(db, user.id, { ...(exceptHash === undefined ? {} : { except: exceptHash }), ...(by ? { by } : {}) }),
  )
  endStreams(live, ended)
  return ended.length
}

/** Whoever watches in one of these sessions watches no more. */
export const endStreams = (live: LiveHub, idHashes: readonly string[]): void => {
  for (const idHash of idHashes) live.endSession(idHash)
}

const show = (session: Session, language: Language, own: string): ShownSession => ({
  idHash: session.idHash,
  device: deviceText(language, session),
  handheld: deviceName(session.userAgent).handheld,
  ip: session.ip ?? null,
  createdAt: session.createdAt,
  seenAt: session.seenAt,
  isThis: session.idHash === own,
})

const deviceText = (language: Language, { userAgent }: Session): string => {
  const { browser, system } = deviceName(userAgent)
  if (browser !== null && system !== null) return translate(language, 'session.device', { browser, system })
  return browser ?? system ?? translate(language, 'session.unknownDevice')
}
