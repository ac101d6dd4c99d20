import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { madeOnce } from '../runs/made-once.ts'

/** Signs cookies and links; made once and kept in runtime/session-secret (0600), so that a restart of the panel signs nobody out. */
export const readSessionSecret = (runtime: string): string => {
  const path = join(runtime, 'session-secret')
  const secret = madeOnce(path, () => randomBytes(32).toString('base64url'))
  if (secret.length < 32) throw new Error(`${path} holds too short a secret. Remove it; it is made anew, and everybody signs in again.`)
  return secret
}
