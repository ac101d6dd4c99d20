import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import { identify, type ProcessIdentity } from './process-identity.ts'

/*
 * Cgroups bound what all processes of a run have together: each run with such limits gets a leaf of its own, which its first process enters
 * before the action's code begins. https://docs.kernel.org/admin-guide/cgroup-v2.html, …/cgroup-v1/memory.html, …/cgroup-v1/pids.html
 */

/** A folder of the cgroup tree in which runs may be given leaves, and what a leaf there can bound. */
export interface LeafPlace {
  folder: string
  version: 1 | 2
  memory: boolean
  processes: boolean
}

/** A leaf of one run. */
export interface Leaf {
  folder: string
  version: 1 | 2
  memoryBytes: number | null
  processes: number | null
}

/**
 * The folders in which leaves could be made: those that were named, else the cgroups of this process where it is in the topmost one that it can
 * see. Any other belongs to who made it (systemd, a container's engine, a service of the machine), and is only used when it is named.
 */
export const leafFolders = (named: readonly string[]): string[] => (named.length > 0 ? [...named] : ownFolders())

/** Tries each folder by making a leaf and removing it again. @returns what works, and why the rest does not, in a sentence each */
export const tryLeafPlaces = (named: readonly string[]): { places: LeafPlace[]; troubles: string[] } => {
  const places: LeafPlace[] = []
  const troubles: string[] = []
  for (const folder of leafFolders(named)) {
    try {
      const place = tryLeaf(folder)
      if (place.memory || place.processes) places.push(place)
      else if (named.length > 0) troubles.push(`${folder} has neither the memory nor the pids controller.`)
    } catch (error) {
      if (named.length > 0) troubles.push(`No cgroup can be made in ${folder} (${messageOf(error)}).`)
    }
  }
  return { places, troubles }
}

/** Makes it, with its limits. @throws when the kernel refuses */
export const makeLeaf = (leaf: Leaf): void => {
  mkdirSync(leaf.folder)
  const set = (file: string, value: string | number) => writeFileSync(join(leaf.folder, file), String(value))
  try {
    if (leaf.processes !== null) set('pids.max', leaf.processes)
    if (leaf.memoryBytes === null) return
    if (leaf.version === 2) {
      set('memory.max', leaf.memoryBytes)
      set('memory.oom.group', 1)
      ifThere(() => set('memory.swap.max', 0))
    } else {
      set('memory.limit_in_bytes', leaf.memoryBytes)
      ifThere(() => set('memory.memsw.limit_in_bytes', leaf.memoryBytes!))
    }
  } catch (error) {
    rmdirSync(leaf.folder)
    throw error
  }
}

/** How often the limits of a leaf have struck. Zeros for one that is gone. */
export const strikesOf = (leaf: Pick<Leaf, 'folder'>): { outOfMemory: number; refusedForks: number } => ({
  outOfMemory: countIn(join(leaf.folder, 'memory.events'), 'oom_kill') || countIn(join(leaf.folder, 'memory.oom_control'), 'oom_kill'),
  refusedForks: countIn(join(leaf.folder, 'pids.events'), 'max'),
})

/** Ends all that is in it, and removes it. @returns what is still alive after `withinMs`; then it is still there too */
export const endLeaf = async ({ folder }: Pick<Leaf, 'folder'>, withinMs: number): Promise<ProcessIdentity[]> => {
  const until = performance.now() + withinMs
  for (;;) {
    killLeaf({ folder })
    if (removed(folder)) return []
    if (performance.now() > until) return membersOf(folder)
    await delay(10)
  }
}

/** SIGKILL to all that is in it now. */
export const killLeaf = ({ folder }: Pick<Leaf, 'folder'>): void => {
  // Version 2 does it in one step, which no fork can outrun.
  if (has(folder, 'cgroup.kill')) ifGone(() => writeFileSync(join(folder, 'cgroup.kill'), '1'))
  for (const { pid } of membersOf(folder)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ESRCH' && code !== 'EPERM') throw error
    }
  }
}

/** Leaves whose name begins so: an earlier life of the supervisor made them. */
export const findLeaves = (named: readonly string[], prefix: string): Pick<Leaf, 'folder'>[] =>
  leafFolders(named).flatMap(folder => {
    try {
      return readdirSync(folder, { withFileTypes: true })
        .filter(entry => entry.isDirectory() && entry.name.startsWith(prefix))
        .map(entry => ({ folder: join(folder, entry.name) }))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  })

const tryLeaf = (folder: string): LeafPlace => {
  accessSync(folder, constants.W_OK)
  const version = has(folder, 'cgroup.controllers') ? 2 : 1
  // A controller counts for the leaves only once its folder hands it down.
  if (version === 2) for (const controller of ['memory', 'pids']) handDown(folder, controller)
  const leaf = join(folder, `bgtask-try-${process.pid}-${performance.now()}`)
  mkdirSync(leaf)
  try {
    return { folder, version, memory: has(leaf, version === 2 ? 'memory.max' : 'memory.limit_in_bytes'), processes: has(leaf, 'pids.max') }
  } finally {
    rmdirSync(leaf)
  }
}

const handDown = (folder: string, controller: string) => {
  const words = (file: string) => readFileSync(join(folder, file), 'utf8').trim().split(' ')
  if (!words('cgroup.controllers').includes(controller) || words('cgroup.subtree_control').includes(controller)) return
  writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`)
}

// proc(5): mountinfo has the part of the tree that is mounted, and where; cgroup has where in it we are.
const ownFolders = (): string[] => {
  const own = new Map(
    lines('/proc/self/cgroup').map(line => {
      const [, controllers = '', ...path] = line.split(':')
      return [controllers, path.join(':')]
    }),
  )
  return lines('/proc/self/mountinfo').flatMap(line => {
    const [left = '', right = ''] = line.split(' - ')
    const [root = '', mounted = ''] = left.split(' ').slice(3)
    const [type, , options = ''] = right.split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') return []
    const wanted = options.split(',').find(option => option === 'memory' || option === 'pids')
    if (type === 'cgroup' && !wanted) return []
    const path = type === 'cgroup2' ? own.get('') : [...own].find(([controllers]) => controllers.split(',').includes(wanted!))?.[1]
    return path === root || path === '/' ? [mounted] : []
  })
}

const lines = (path: string): string[] => {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean)
  } catch (error) {
    // No /proc of this kind: then there are no cgroups for us.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

const has = (folder: string, file: string) => {
  try {
    accessSync(join(folder, file))
    return true
  } catch {
    return false
  }
}

const ifThere = (work: () => void) => {
  try {
    work()
  } catch (error) {
    // A kernel without an account of swap has no such file.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EACCES') throw error
  }
}

const membersOf = (folder: string): ProcessIdentity[] => {
  const pids = ifGone(() => readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)) ?? []
  // 0: a process of another pid namespace, which cannot be named here.
  return pids.filter(pid => pid > 0).flatMap(pid => identify(pid) ?? [])
}

const removed = (folder: string): boolean => {
  try {
    rmdirSync(folder)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    if (code === 'EBUSY') return false
    throw error
  }
}

const countIn = (path: string, key: string): number =>
  Number(
    ifGone(() => readFileSync(path, 'utf8'))
      ?.split('\n')
      .find(line => line.startsWith(`${key} `))
      ?.split(' ')[1] ?? 0,
  )

const ifGone = <T>(read: () => T): T | null => {
  try {
    return read()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENODEV') return null
    throw error
  }
}
