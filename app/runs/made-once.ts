import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'

/** What lies in a file (0600) that is made when it is first asked for and then stays; of several who make it at once, all get what the first one made. */
export const madeOnce = (path: string, make: () => string): string => {
  const found = read(path)
  if (found) return found
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, make(), { mode: 0o600 })
  try {
    linkSync(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(temporary)
  }
  const made = read(path)
  if (!made) throw new Error(`${path} is empty. Remove it; it is made anew.`)
  return made
}

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8').trim() || null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
