import { readFileSync } from 'node:fs'
import { readStat } from './process-identity.ts'

/**
 * How long the main thread of a process has had something to do so far, in milliseconds: it ran, or stood in line for a CPU. On a busy machine the
 * time in line is most of it. @returns 0 when it is gone
 */
export const busyMs = (pid: number): number => {
  try {
    // proc_pid_schedstat(5): nanoseconds of both.
    const [ran, stood] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ').map(Number)
    if (ran! + stood! > 0) return (ran! + stood!) / 1e6
  } catch {
    // Not every kernel tells; then the CPU time has to do.
  }
  // USER_HZ is 100 on every Linux that Node runs on (time(7)).
  return (readStat(pid)?.cpuTicks ?? 0) * 10
}
