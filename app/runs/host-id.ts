import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { runtimePaths } from './runtime-folder.ts'

/** The name of this runtime folder among all that share the database: made once, kept in runtime/host-id, so it survives a changed hostname. */
export const hostId = (runtime: string): string => {
  const path = runtimePaths(runtime).hostId
  const found = read(path)
  if (found) return found
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, randomBytes(6).toString('hex'), { mode: 0o600 })
  try {
    linkSync(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(temporary)
  }
  return read(path)!
}

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
