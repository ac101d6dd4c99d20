import type { Config } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import type { Db } from '../store/database.ts'
import type { By } from '../store/lock-users.ts'
import { anyUser, findUser, insertFirstUser, insertUser, replaceHash, setPassword, type User } from '../store/users.ts'
import { told } from '../task/told.ts'
import { checkPassword, passwordLength } from './check-password.ts'
import { hashPassword, isOldHash, type Lane, verifyPassword } from './hash-password.ts'
import { showValue } from './show-value.ts'

export const roles = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

/**
 * @param by the administrator who asks; absent: the command line
 * @throws BgtaskError `refused` for a bad name, password or role, `conflict` when the name is taken
 * @throws NotAdmin
 */
export const createUser = async (
  db: Db,
  { name, password, role }: { name: string; password: string; role: Role },
  by?: By,
): Promise<User> => {
  const checked = checkName(name)
  if (!roles.includes(role)) throw new BgtaskError('refused', told`The role is ${showValue(role)}; allowed are ${roles.join(', ')}.`)
  checkPassword(password, checked)
  if (await findUser(db, checked)) throw taken(checked)
  await insertUser(db, { name: checked, passwordHash: await hashPassword(password), role, createdAt: Date.now() }, by)
  return created(db, checked)
}

/**
 * The first administrator: only while there is no user.
 * @returns null when there is one already
 */
export const createFirstUser = async (db: Db, { name, password }: { name: string; password: string }): Promise<User | null> => {
  const checked = checkName(name)
  checkPassword(password, checked)
  if (await anyUser(db)) return null
  const added = await insertFirstUser(db, {
    name: checked,
    passwordHash: await hashPassword(password),
    role: 'admin',
    createdAt: Date.now(),
  })
  return added ? created(db, checked) : null
}

/**
 * BGTASK_ADMIN_PASSWORD: creates user `admin` when there is no user yet.
 * @throws BgtaskError `misconfigured` when that password is too weak
 */
export const createConfiguredAdmin = async (db: Db, config: Pick<Config, 'adminPassword'>): Promise<User | null> => {
  if (config.adminPassword === null || (await anyUser(db))) return null
  try {
    return await createFirstUser(db, { name: 'admin', password: config.adminPassword })
  } catch (error) {
    if (!(error instanceof BgtaskError) || error.code !== 'refused') throw error
    throw new BgtaskError('misconfigured', told`BGTASK_ADMIN_PASSWORD cannot be used. ${error.message}`, { cause: error })
  }
}

/**
 * Ends the user's sessions as well, except the one in which it was done.
 * @param by the administrator who asks, about somebody else; absent: they themselves, or the command line
 * @throws BgtaskError `not-found`, `refused`
 * @throws NotAdmin
 */
export const changePassword = async (db: Db, name: string, password: string, exceptSession?: string, by?: By): Promise<void> => {
  const user = await existingUser(db, name)
  checkPassword(password, user.name)
  if (!(await setPassword(db, user.name, await hashPassword(password), Date.now(), exceptSession, by))) throw noUser(name)
}

/**
 * Takes equally long whether the user exists or not. A hash that was made at other costs than are asked now is made anew.
 * @param lane `anybody` for who is not known yet: behind those who are
 * @returns null when name and password do not fit
 * @throws BgtaskError `busy` when too many are being looked at
 */
export const checkLogin = async (db: Db, name: string, password: string, lane: Lane = 'known'): Promise<User | null> => {
  const user = (await findUser(db, normalName(name))) ?? null
  // Nobody has a longer password, so a longer text is not worth hashing; the work is done all the same.
  const given = [...password.slice(0, 2 * passwordLength.most)].slice(0, passwordLength.most).join('')
  const fits = await verifyPassword(given, user?.passwordHash ?? null, lane)
  if (!user || !fits) return null
  if (isOldHash(user.passwordHash)) await replaceHash(db, user.id, user.passwordHash, await hashPassword(given))
  return user
}

/** @throws BgtaskError `not-found` */
export const existingUser = async (db: Db, name: string): Promise<User> => {
  const user = await findUser(db, normalName(name))
  if (!user) throw noUser(name)
  return user
}

/** As names are stored: how it was typed makes no other user of it. */
export const normalName = (name: string): string => name.trim().toLowerCase().slice(0, 65)

/** @returns the name as it will be stored @throws BgtaskError `refused` */
export const checkName = (name: string): string => {
  const normal = normalName(name)
  if (/^[a-z0-9][a-z0-9._@-]{0,63}$/.test(normal)) return normal
  throw new BgtaskError(
    'refused',
    told`The user name is ${showValue(name)}; allowed are 1 to 64 of a-z, 0-9, dot, _, @ and -, beginning with a letter or digit.`,
  )
}

const created = async (db: Db, name: string): Promise<User> => {
  const user = await findUser(db, name)
  if (!user) throw new BgtaskError('failed', told`User ${name} was stored but is not there any more; try again.`)
  return user
}

const noUser = (name: string) => new BgtaskError('not-found', told`There is no user ${showValue(name)}; user list shows who there is.`)

const taken = (name: string) =>
  new BgtaskError('conflict', told`There is a user ${name} already; change the password with user passwd ${name}, or choose another name.`)
