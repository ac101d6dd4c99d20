import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { readTicket } from '../runs/ticket.ts'
import type { Log } from './supervisor.ts'

/** The folder of one ended run. */
export interface EndedFolder {
  name: string
  taskId: number
  number: number
  /** Of a loop. */
  forever: boolean
  /** Milliseconds since 1970. */
  endedAt: number
  /** Space on the disk. */
  bytes: number
}

export interface FolderRule {
  keepRuns: number
  keepBytes: number
  endedBefore: number
}

/**
 * Which folders go: those of a task's runs beyond `keepRuns`, of ONCE runs that ended too long ago, and then the oldest, until the rest takes no
 * more than `keepBytes`. A loop's last run stays: it says why the loop is down.
 */
export const foldersToRemove = (ended: readonly EndedFolder[], { keepRuns, keepBytes, endedBefore }: FolderRule): EndedFolder[] => {
  const gone: EndedFolder[] = []
  const kept: { folder: EndedFolder; isLast: boolean }[] = []
  for (const runs of Map.groupBy(ended, ({ taskId }) => taskId).values()) {
    for (const [index, folder] of runs.sort((a, b) => b.number - a.number).entries()) {
      if (index >= keepRuns || (!folder.forever && folder.endedAt < endedBefore)) gone.push(folder)
      else kept.push({ folder, isLast: index === 0 })
    }
  }
  let bytes = kept.reduce((sum, { folder }) => sum + folder.bytes, 0)
  for (const { folder, isLast } of kept.sort((a, b) => a.folder.endedAt - b.folder.endedAt)) {
    if (bytes <= keepBytes) break
    if (folder.forever && isLast) continue
    gone.push(folder)
    bytes -= folder.bytes
  }
  return gone
}

/**
 * Prunes run folders; needs no database. Each ended folder is measured once, so that it may be called often.
 * @returns what removes the folders that are too many now, one after the other, and says how many those were
 */
export const createFolderPruner = (
  config: Pick<Config, 'runtime' | 'keepRuns' | 'keepDays' | 'keepBytes'>,
  log: Log,
): (() => Promise<number>) => {
  const known = new Map<string, EndedFolder>()
  const folder = join(config.runtime, 'runs')
  const prune = async () => {
    // In this order: a run that begins meanwhile is not taken for one that has ended.
    const there = await readdir(folder)
    const open = new Set(await readdir(join(config.runtime, 'open')))
    const names = new Set(there)
    for (const name of known.keys()) if (!names.has(name)) known.delete(name)
    for (const name of there) {
      if (open.has(name) || known.has(name)) continue
      const found = await measure(folder, name)
      if (found) known.set(name, found)
    }
    const { keepRuns, keepBytes, keepDays } = config
    const gone = foldersToRemove([...known.values()], { keepRuns, keepBytes, endedBefore: Date.now() - keepDays * 86_400_000 })
    for (const { name } of gone) {
      await rm(join(folder, name), { recursive: true, force: true })
      known.delete(name)
    }
    if (gone.length) log.info(`pruned ${gone.length} run folders`)
    return gone.length
  }
  let underWay: Promise<number> | null = null
  return () => (underWay ??= prune().finally(() => (underWay = null)))
}

const measure = async (folder: string, name: string): Promise<EndedFolder | null> => {
  const match = /^(\d+)-(\d+)$/.exec(name)
  if (!match) return null
  const path = join(folder, name)
  try {
    const { mtimeMs } = await lstat(path)
    return {
      name,
      taskId: Number(match[1]),
      number: Number(match[2]),
      forever: readTicket(path)?.execType === 'FOREVER',
      endedAt: mtimeMs,
      bytes: await spaceOf(path),
    }
  } catch (error) {
    // Somebody removed it by hand.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

// stat(2): blocks are of 512 bytes, whatever the file system's own are. An action may have made folders of its own in its folder.
const spaceOf = async (path: string): Promise<number> => {
  const stat = await lstat(path)
  let bytes = stat.blocks * 512
  if (stat.isDirectory()) for (const name of await readdir(path)) bytes += await spaceOf(join(path, name))
  return bytes
}
