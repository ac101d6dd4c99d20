import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Signs cookies and links; made once and kept in runtime/session-secret (0600), so that a restart of the panel signs nobody out. */
export const readSessionSecret = (runtime: string): string => {
  const path = join(runtime, 'session-secret')
  const found = read(path)
  if (found) return found
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, randomBytes(32).toString('base64url'), { mode: 0o600 })
  try {
    linkSync(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(temporary)
  }
  return read(path)!
}

const read = (path: string): string | null => {
  try {
    const text = readFileSync(path, 'utf8').trim()
    return text.length >= 32 ? text : null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
