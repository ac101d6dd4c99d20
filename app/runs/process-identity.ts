// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { readdirSync, readFileSync } = process.getBuiltinModule('node:fs')

/** A process beyond doubt: a pid alone comes back after a reboot or a wrap (proc(5): stat field 22; random/boot_id). */
export interface ProcessIdentity {
  pid: number
  startTicks: number
  bootId: string
}

let bootIdRead: string | undefined
export const bootId = (): string => {
  bootIdRead ??= readText('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown'
  return bootIdRead
}

export interface ProcessStat {
  /** R, S, D, T … ; Z and X are dead. */
  state: string
  parentPid: number
  groupId: number
  cpuTicks: number
  startTicks: number
}

/** Field 2 of stat may hold anything, so counting begins after the last parenthesis. */
export const readStat = (pid: number): ProcessStat | null => {
  const text = readText(`/proc/${pid}/stat`)
  if (!text) return null
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    state: fields[0]!,
    parentPid: Number(fields[1]),
    groupId: Number(fields[2]),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    startTicks: Number(fields[19]),
  }
}

/** @returns null when there is no such live process; a zombie counts as dead */
export const identify = (pid: number): ProcessIdentity | null => {
  const stat = readStat(pid)
  return stat && isLive(stat) ? { pid, startTicks: stat.startTicks, bootId: bootId() } : null
}

export const isAlive = (identity: ProcessIdentity): boolean => {
  if (identity.bootId !== bootId()) return false
  const stat = statOrUnknown(identity.pid)
  // Too many open files, say: what cannot be looked at is not known to be dead.
  if (stat === 'unknown') return true
  return stat !== null && isLive(stat) && stat.startTicks === identity.startTicks
}

const statOrUnknown = (pid: number): ProcessStat | null | 'unknown' => {
  try {
    return readStat(pid)
  } catch {
    return 'unknown'
  }
}

export const markVariable = 'BGTASK_RUN'

/** The run's mark in a process's environment; undefined when it has none or may not be read. */
export const markOf = (pid: number): string | undefined => {
  const text = readText(`/proc/${pid}/environ`)
  if (!text) return undefined
  const found = text.split('\0').find(entry => entry.startsWith(`${markVariable}=`))
  return found?.slice(markVariable.length + 1)
}

/** Every live process that carries a mark for which `wanted` holds, wherever it has gone to. */
export const findMarked = (wanted: (mark: string) => boolean): { identity: ProcessIdentity; mark: string; groupId: number }[] =>
  livePids().flatMap(pid => {
    const mark = markOf(pid)
    if (mark === undefined || !wanted(mark)) return []
    const stat = readStat(pid)
    return stat && isLive(stat) ? [{ identity: { pid, startTicks: stat.startTicks, bootId: bootId() }, mark, groupId: stat.groupId }] : []
  })

/** Live members of a process group. */
export const groupMembers = (groupId: number): ProcessIdentity[] =>
  livePids().flatMap(pid => {
    const stat = readStat(pid)
    return stat && isLive(stat) && stat.groupId === groupId ? [{ pid, startTicks: stat.startTicks, bootId: bootId() }] : []
  })

export const commandOf = (pid: number): string => readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim() ?? ''

/** Highest resident memory so far, and CPU time, from /proc; null when it is gone. */
export const readUsage = (pid: number): { peakMemoryBytes: number; cpuMs: number } | null => {
  const status = readText(`/proc/${pid}/status`)
  const stat = readStat(pid)
  if (!status || !stat) return null
  const peak = /^VmHWM:\s+(\d+) kB/m.exec(status)
  // USER_HZ is 100 on every Linux that Node runs on (time(7)).
  return { peakMemoryBytes: Number(peak?.[1] ?? 0) * 1024, cpuMs: stat.cpuTicks * 10 }
}

/** What it holds in memory now; undefined when it is gone. */
export const readRssBytes = (pid: number): number | undefined => {
  // proc(5): the second field is resident pages, of 4 kB on every machine that Node 24 is built for here.
  const pages = readText(`/proc/${pid}/statm`)?.split(' ')[1]
  return pages === undefined ? undefined : Number(pages) * 4_096
}

const isLive = (stat: ProcessStat) => stat.state !== 'Z' && stat.state !== 'X' && stat.state !== 'x'

const livePids = () => {
  try {
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

const readText = (path: string): string | null => {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    // The process is gone, or is another user's: either way it is not one of ours.
    if (gone.has((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}

const gone = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'])
