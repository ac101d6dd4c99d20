import type { FileIdentity } from './artifacts-file.ts'
import { runtimePaths } from './runtime-folder.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { realpathSync, statSync } = process.getBuiltinModule('node:fs')

/** Below this folder of the runtime folder lie files that actions make; nothing else of it is anybody's. */
export const exportsFolder = 'exports'

/**
 * Why a file is never handed out, whoever declares it: it is one of ours, or none that lies on a disk. null when it may be.
 * @param path without symbolic links
 * @param databaseUrl null: not known to who asks, who is not the last that does
 */
export const whyKeptBack = (
  path: string,
  identity: FileIdentity,
  { runtime, databaseUrl }: { runtime: string; databaseUrl: string | null },
): string | null => {
  if (/^\/(proc|sys|dev)\//.test(path)) return 'it is no file on a disk'
  const folder = realPath(runtime)
  if (path.startsWith(`${folder}/`) && !path.startsWith(`${folder}/${exportsFolder}/`))
    return `it lies in the runtime folder, which holds what must stay here; of that only what is below ${exportsFolder}/ is handed out`
  const { sessionSecret, database, databaseUrl: addressFile, firstRun, cronKey } = runtimePaths(runtime)
  const databases = [database, ...(databaseUrl?.startsWith('sqlite:') ? [databaseUrl.slice('sqlite:'.length)] : [])]
  const ours = [
    sessionSecret,
    addressFile,
    firstRun,
    cronKey,
    ...databases.flatMap(path => ['', '-wal', '-shm', '-journal'].map(end => path + end)),
  ]
  // By another name too: a link made by who could reach it.
  return ours.some(ours => isThis(ours, path, identity)) ? 'it is a file of bgtask itself' : null
}

const isThis = (ours: string, path: string, { device, inode }: FileIdentity) => {
  if (realPath(ours) === path) return true
  try {
    const stat = statSync(ours, { bigint: true })
    return String(stat.ino) === inode && String(stat.dev) === device
  } catch {
    return false // as below
  }
}

const realPath = (path: string) => {
  try {
    return realpathSync(path)
  } catch {
    return path // it is not there, or may not be looked at: then it cannot be this file
  }
}
