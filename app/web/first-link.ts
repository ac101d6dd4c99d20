import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { writeWhole } from '../runs/write-file.ts'
import type { Db } from '../store/database.ts'
import { insertOnceLink } from '../store/once-links.ts'
import { anyUser } from '../store/users.ts'

/** One-time links are good for so long. */
export const onceLinkMs = 15 * 60_000
export const firstUserPurpose = 'first-user'
export const loginPurpose = 'login'

/**
 * A new one-time link for the first administrator, 256 bit; only its hash is stored. The token stands behind the #, which a browser sends to
 * nobody: no proxy and no log gets it.
 * @returns its path below the panel's root, null when there is a user already
 */
export const makeFirstLink = async (db: Db): Promise<string | null> =>
  (await anyUser(db)) ? null : `/setup#${await makeToken(db, firstUserPurpose, null)}`

/** The same for somebody who has an account, made by whoever has the shell: it signs them in. @returns its path below the panel's root */
export const makeLoginLink = async (db: Db, user: { id: number }): Promise<string> =>
  `/login/link#${await makeToken(db, loginPurpose, String(user.id))}`

export const linkHash = (token: string): string => createHash('sha256').update(token).digest('hex')

/** The first administrator's link for who cannot read the terminal of `serve`: runtime/first-run (0600). */
export const writeFirstRun = (runtime: string, link: string): void => writeWhole(runtimePaths(runtime).firstRun, `${link}\n`)

/** @returns null when there is none */
export const readFirstRun = (runtime: string): string | null => {
  const { firstRun } = runtimePaths(runtime)
  return existsSync(firstRun) ? readFileSync(firstRun, 'utf8').trim() : null
}

/** @param link only that one: another panel may have written its own meanwhile. Default: whatever lies there */
export const removeFirstRun = (runtime: string, link?: string): void => {
  const path = runtimePaths(runtime).firstRun
  try {
    if (link === undefined || readFileSync(path, 'utf8').trim() === link) rmSync(path, { force: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

const makeToken = async (db: Db, purpose: string, detail: string | null): Promise<string> => {
  const token = randomBytes(32).toString('base64url')
  await insertOnceLink(db, { tokenHash: linkHash(token), purpose, expiresAt: Date.now() + onceLinkMs, detail })
  return token
}
