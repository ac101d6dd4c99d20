import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, lstat, open } from 'node:fs/promises'
import { type FileIdentity, isSameFile } from './artifacts-file.ts'

/** Why a declared file cannot be had. `replaced`: another one lies there now. `changed`: it was written to after its run had ended. */
export type ArtifactTrouble = 'gone' | 'replaced' | 'changed' | 'unreadable'

/** How it lies there. */
export interface FileState {
  sizeBytes: number
  /** Milliseconds since 1970. */
  modifiedAt: number
}

/**
 * Opens the very file that was declared, and nothing else that may lie under its path by now.
 * @param unchangedSince milliseconds since 1970; null: it may still be written to
 */
export const openDeclared = async (
  file: FileIdentity & { path: string },
  unchangedSince: number | null,
): Promise<{ handle: FileHandle; state: FileState } | ArtifactTrouble> => {
  let handle: FileHandle
  try {
    // A pipe that was laid there would wait for who writes into it.
    handle = await open(file.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    return troubleOf(error)
  }
  const judged = judge(file, await handle.stat({ bigint: true }), unchangedSince)
  if (typeof judged !== 'string') return { handle, state: judged }
  await handle.close()
  return judged
}

/** The same, without opening it. */
export const lookAtDeclared = async (
  file: FileIdentity & { path: string },
  unchangedSince: number | null,
): Promise<FileState | ArtifactTrouble> => {
  try {
    return judge(file, await lstat(file.path, { bigint: true }), unchangedSince)
  } catch (error) {
    return troubleOf(error)
  }
}

const judge = (file: FileIdentity, stat: BigIntStats, unchangedSince: number | null): FileState | ArtifactTrouble => {
  const identity = { device: String(stat.dev), inode: String(stat.ino), bornNs: String(stat.birthtimeNs) }
  if (!stat.isFile() || !isSameFile(file, identity)) return 'replaced'
  const state = { sizeBytes: Number(stat.size), modifiedAt: Number(stat.mtimeMs) }
  return unchangedSince !== null && state.modifiedAt > unchangedSince + toleratedMs ? 'changed' : state
}

/** File systems keep times as coarse as two seconds. */
const toleratedMs = 2_000

const troubleOf = (error: unknown): ArtifactTrouble => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'gone'
  return code === 'ELOOP' || code === 'ENXIO' ? 'replaced' : 'unreadable'
}
