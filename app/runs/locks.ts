import { spawn } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { messageOf } from '../errors.ts'

/** A kernel lock on an open file: released when the last process that holds the descriptor ends, however it ends. */
export interface Lock {
  readonly descriptor: number
  /** false: the file was removed or replaced, so somebody else may lock a new one. */
  isCurrent(): boolean
  /** Closes this process's descriptor; a child that inherited it goes on holding the lock. */
  close(): void
}

/**
 * Takes the lock without waiting. Node has no flock, so flock(1) of util-linux locks the open file that it inherits;
 * the lock belongs to the open file, not to that process (flock(2)), and reading the file elsewhere does not drop it.
 * @returns null when somebody has it
 */
export const takeLock = async (path: string): Promise<Lock | null> => {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  const close = () => closeSync(descriptor)
  let code: number | null
  try {
    code = await new Promise<number | null>((resolve, reject) => {
      spawn('flock', ['-xn', '3'], { env: { PATH: process.env.PATH }, stdio: ['ignore', 'ignore', 'ignore', descriptor] })
        .once('error', reject)
        .once('exit', resolve)
    })
  } catch (error) {
    close()
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Error(
      missing ? 'flock is not there: install util-linux, which carries it' : `flock could not be started: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  }
  if (code === 0) return { descriptor, close, isCurrent: () => isSameFile(descriptor, path) }
  close()
  return null
}

const isSameFile = (descriptor: number, path: string) => {
  const there = statSync(path, { throwIfNoEntry: false })
  const ours = fstatSync(descriptor)
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev
}
