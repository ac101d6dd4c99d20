import { isAlive, type ProcessIdentity, readRssBytes, readStat } from './process-identity.ts'

/** What a live process takes now: resident memory, and CPU time since it began. */
export interface ProcessUse {
  memoryBytes: number
  cpuMs: number
}

/** @returns null when it is not that process any more */
export const processUse = (identity: ProcessIdentity): ProcessUse | null => {
  if (!isAlive(identity)) return null
  const stat = readStat(identity.pid)
  const memoryBytes = readRssBytes(identity.pid)
  // USER_HZ is 100 on every Linux that Node runs on (time(7)).
  return stat && memoryBytes !== undefined ? { memoryBytes, cpuMs: stat.cpuTicks * 10 } : null
}
