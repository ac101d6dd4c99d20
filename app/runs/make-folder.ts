import { dirname } from 'node:path'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { existsSync, mkdirSync } = process.getBuiltinModule('node:fs')

/**
 * Makes a folder that others may not open (0700), and those above it that are missing. `mkdirSync` with `recursive` never ends where the kernel
 * says that a folder in an existing one does not exist, as below /proc.
 * @throws what mkdir throws
 */
export const makeFolder = (path: string): void => {
  const missing: string[] = []
  for (let folder = path; !existsSync(folder); folder = dirname(folder)) {
    // A link to nothing does not exist, and cannot be made.
    missing.unshift(folder)
  }
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode: 0o700 })
    } catch (error) {
      // Somebody else was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !existsSync(folder)) throw error
    }
  }
}
