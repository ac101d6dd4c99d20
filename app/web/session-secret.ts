import { randomBytes } from 'node:crypto'
import { madeOnce } from '../runs/made-once.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'

/** Signs cookies and links; made once and kept in runtime/session-secret (0600), so that a restart of the panel signs nobody out. */
export const readSessionSecret = (runtime: string): string => {
  const path = runtimePaths(runtime).sessionSecret
  const secret = madeOnce(path, () => randomBytes(32).toString('base64url'))
  if (secret.length < 32) throw new Error(`${path} holds too short a secret. Remove it; it is made anew, and everybody signs in again.`)
  return secret
}
