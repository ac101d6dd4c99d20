import { closeSync, constants, fstatSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants

/**
 * Adds runtime/ to the .gitignore of a folder. A symbolic link is left alone: git follows none there, and what it leads to may be another project's.
 * @returns what was done, or what is left to do
 * @throws BgtaskError `misconfigured` when it cannot be written
 */
export const ignoreRuntime = (folder: string): string => {
  const path = join(folder, '.gitignore')
  let file: number
  try {
    file = openSync(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o666)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ELOOP')
      return '.gitignore is a symbolic link, and left as it is: git follows none there. Make it a file with a line runtime/ in it.'
    throw cannotWrite(path, code === 'EISDIR' ? 'it is a folder' : messageOf(error), error)
  }
  try {
    if (!fstatSync(file).isFile()) throw cannotWrite(path, 'it is no file')
    const before = readFileSync(file, 'utf8')
    if (before.split('\n').some(line => /^\/?runtime\/?$/.test(line.trim()))) return '.gitignore leaves runtime/ out already'
    writeSync(file, `${before === '' || before.endsWith('\n') ? '' : '\n'}runtime/\n`)
    return '.gitignore: leaves out runtime/, where database and output lie'
  } finally {
    closeSync(file)
  }
}

const cannotWrite = (path: string, why: string, cause?: unknown) =>
  new BgtaskError('misconfigured', `${path} cannot be written: ${why}. Put a line runtime/ into it, so that git leaves that folder out.`, {
    cause,
  })
