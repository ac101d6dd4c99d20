import { constants, fchmodSync, openSync, renameSync } from 'node:fs'
import { sizeOf } from './read-output.ts'

/**
 * Opens a log for a process that stays, to append to; one that has grown too long makes room first and stays beside it as `.1`.
 * @returns the descriptor; ours to close
 */
export const openLog = (path: string): number => {
  if (sizeOf(path) > limitBytes) renameSync(path, `${path}.1`)
  const log = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  fchmodSync(log, 0o600)
  return log
}

const limitBytes = 10_000_000
