import { readFileSync } from 'node:fs'

/** CPU time in ms that a process and those of its children that have ended used so far (proc(5): fields 14 to 17 of stat, 100 ticks a second). */
export const cpuTimeMs = (pid: number): { own: number; ofChildren: number } => {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // Field 2 may hold anything, so counting begins after the last parenthesis.
  const ticks = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number)
  return { own: (ticks[0]! + ticks[1]!) * 10, ofChildren: (ticks[2]! + ticks[3]!) * 10 }
}
