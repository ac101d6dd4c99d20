import { BgtaskError } from '../errors.ts'
import { type ChangedUser, removeUser as deleteUser, setRole, type UserRefusal } from '../store/change-user.ts'
import type { Db } from '../store/database.ts'
import { findPerson, type Person } from '../store/list-people.ts'
import { type By, NotAdmin } from '../store/lock-users.ts'
import { deleteSessionOf, deleteSessionsOf, findSession, listSessions, type Session } from '../store/sessions.ts'
import { told } from '../task/told.ts'
import { translate } from '../texts/translate.ts'
import { showValue } from './show-value.ts'
import { type Role, roles } from './users.ts'

/** Nothing was changed, for that reason; the message says it in English, and `users.refused.<refusal>` in the reader's language. */
export class UserRefused extends BgtaskError {
  readonly refusal: Exclude<UserRefusal, 'not-admin'> | 'session-gone'
  constructor(refusal: UserRefused['refusal']) {
    super(refusal === 'gone' || refusal === 'session-gone' ? 'not-found' : 'conflict', translate('en', `users.refused.${refusal}`))
    this.refusal = refusal
  }
}

/** The administrator who asks; null: the command line. */
export type Asking = { id: number } | null

/** @throws UserRefused `gone` */
export const requirePerson = async (db: Db, id: number): Promise<Person> => {
  const person = await findPerson(db, id, Date.now())
  if (!person) throw new UserRefused('gone')
  return person
}

/**
 * Holds at the next request of each of their sessions. Tokens made by somebody who is an administrator no more are revoked.
 * @throws UserRefused @throws NotAdmin
 * @throws BgtaskError `refused` for what is no role
 */
export const changeRole = async (db: Db, asking: Asking, id: number, role: string): Promise<ChangedUser> => {
  const known = roles.find(name => name === role)
  if (!known) throw new BgtaskError('refused', told`The role is ${showValue(role)}; allowed are ${roles.join(', ')}.`)
  return done(await setRole(db, { id, role: known satisfies Role, by: asking?.id ?? null, now: Date.now() }))
}

/**
 * With sessions and second factor; tokens that they made are revoked. What they did stays in the audit.
 * @throws UserRefused @throws NotAdmin
 */
export const removeUser = async (db: Db, asking: Asking, id: number): Promise<ChangedUser> =>
  done(await deleteUser(db, { id, by: asking?.id ?? null, now: Date.now() }))

/** More open sessions than this are not listed one by one. */
export const mostListed = 100

/** Open ones, the one used last first. */
export const sessionsOf = (db: Db, userId: number): Promise<Session[]> => listSessions(db, userId, { now: Date.now(), limit: mostListed })

/** @throws UserRefused `session-gone`: it is somebody else's, or over already */
export const requireSession = async (db: Db, userId: number, idHash: string): Promise<Session> => {
  const session = await findSession(db, idHash)
  if (session?.userId !== userId || session.expiresAt <= Date.now()) throw new UserRefused('session-gone')
  return session
}

/** @param by the administrator who asks, about somebody else @throws UserRefused `session-gone` @throws NotAdmin */
export const endSession = async (db: Db, userId: number, idHash: string, by?: By): Promise<void> => {
  if (!(await deleteSessionOf(db, userId, idHash, by))) throw new UserRefused('session-gone')
}

/** @param options.except hash of the session that goes on @param options.by as of endSession @returns hashes of those that ended @throws NotAdmin */
export const endSessions = (db: Db, userId: number, { except, by }: { except?: string; by?: By } = {}): Promise<string[]> =>
  deleteSessionsOf(db, userId, except, by)

const done = (answer: UserRefusal | ChangedUser): ChangedUser => {
  if (answer === 'not-admin') throw new NotAdmin()
  if (typeof answer === 'string') throw new UserRefused(answer)
  return answer
}
