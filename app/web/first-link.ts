import { createHash, randomBytes } from 'node:crypto'
import type { Db } from '../store/database.ts'
import { insertOnceLink } from '../store/once-links.ts'
import { anyUser } from '../store/users.ts'

export const firstLinkMs = 15 * 60_000
export const firstUserPurpose = 'first-user'

/** A new one-time link for the first administrator, 256 bit; only its hash is stored. @returns its path, null when there is a user already */
export const makeFirstLink = async (db: Db): Promise<string | null> => {
  if (await anyUser(db)) return null
  const token = randomBytes(32).toString('base64url')
  await insertOnceLink(db, { tokenHash: linkHash(token), purpose: firstUserPurpose, expiresAt: Date.now() + firstLinkMs, detail: null })
  return `/admin/setup/${token}`
}

export const linkHash = (token: string): string => createHash('sha256').update(token).digest('hex')
