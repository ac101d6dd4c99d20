import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'

/**
 * Writes a file of a project that is not there yet. What is there is left as it is, and nothing is written where a symbolic link leads out of the project.
 * @param name relative to the folder of the project
 * @returns what was done, or why not
 * @throws BgtaskError `misconfigured` when it cannot be written
 */
export const writeNew = (folder: string, name: string, text: string, what: string): string => {
  const path = join(folder, name)
  try {
    const place = placeOf(dirname(path))
    if (place !== null && !`${place}${sep}`.startsWith(`${realpathSync(folder)}${sep}`))
      return `${name} is not written: a symbolic link leads out of the project there, to ${place}`
    mkdirSync(dirname(path), { recursive: true })
    // Whoever makes it in this very moment keeps theirs; a link is something that is there, whatever it leads to.
    writeFileSync(path, text, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return `${name} is there already, and left as it is`
    throw new BgtaskError('misconfigured', `${path} cannot be written: ${messageOf(error)}.`, { cause: error })
  }
  return `${name}: ${what}`
}

/** Where a folder really is, or the nearest one above it that is there. */
const placeOf = (folder: string): string | null => {
  if (existsSync(folder)) return realpathSync(folder)
  return dirname(folder) === folder ? null : placeOf(dirname(folder))
}
