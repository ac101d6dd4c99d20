import * as crypto from 'node:crypto'
import { hashPassword } from '../../app/api/hash-password.ts'
import type { Role } from '../../app/api/users.ts'
import type { Db } from '../../app/store/database.ts'
import { findUser, insertUser, type User } from '../../app/store/users.ts'
import { password } from './browser.ts'

/**
 * A user whose password is `password`, for what is not about making users: it takes a tenth of what createUser() takes, which measures the
 * password against dictionaries and hashes it at its full cost. Whoever signs in pays that all the same.
 */
export const newUser = async (db: Db, { name, role }: { name: string; role: Role }): Promise<User> => {
  await insertUser(db, { name, passwordHash: await hashOfPassword(), role, createdAt: Date.now() })
  const made = await findUser(db, name)
  if (!made) throw new Error(`There is no user ${name}.`)
  return made
}

/** As hashPassword() made it; a Node before 24.7 has no argon2, and makes another. */
const hashOfPassword = async () => (typeof crypto.argon2 === 'function' ? known : hashPassword(password))
const known = '$argon2id$v=19$m=65536,t=3,p=1$YiaSUh1lUaM2gipiUXi1HA$mfx+dXrefXTTs1DPidaziZBJMryShrVt0oKY9DmFGbU'
