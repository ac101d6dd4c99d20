import { readFileSync } from 'node:fs'

/**
 * How many processes the kernel has ended since boot because memory was out, on the whole machine, also within a cgroup.
 * @param maxAgeMs a figure that is at most so old will do
 * @returns null where the kernel does not count them
 */
export const oomKills = (maxAgeMs: number): number | null => {
  const now = performance.now()
  if (now - last.at > maxAgeMs) last = { kills: readKills(), at: now }
  return last.kills
}

let last: { kills: number | null; at: number } = { kills: null, at: Number.NEGATIVE_INFINITY }

// proc_vmstat(5): since Linux 4.13.
const readKills = (): number | null => {
  try {
    const kills = /^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'latin1'))?.[1]
    return kills === undefined ? null : Number(kills)
  } catch {
    return null
  }
}
