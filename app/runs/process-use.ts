import { isAlive, type ProcessIdentity, readStat } from './process-identity.ts'

const { readFileSync } = process.getBuiltinModule('node:fs')

/** What a live process takes now: resident memory, and CPU time since it began. */
export interface ProcessUse {
  memoryBytes: number
  cpuSeconds: number
}

/** @returns null when it is not that process any more, or it cannot be looked at */
export const processUse = (identity: ProcessIdentity): ProcessUse | null => {
  if (!isAlive(identity)) return null
  try {
    const stat = readStat(identity.pid)
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${identity.pid}/status`, 'latin1'))
    // USER_HZ is 100 on every Linux that Node runs on (time(7)).
    return stat && resident ? { memoryBytes: Number(resident[1]) * 1024, cpuSeconds: stat.cpuTicks / 100 } : null
  } catch {
    return null
  }
}
