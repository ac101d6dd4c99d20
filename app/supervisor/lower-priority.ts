import { getPriority, setPriority } from 'node:os'
import { readStat } from '../runs/process-identity.ts'

/**
 * So that a hundred busy processes of ours do not make the supervisor late. One that is dead already has nothing to lower.
 * @param by how much nicer than the supervisor it is to be, which may have been started by `nice` itself: only root may go back
 */
export const lowerPriority = (pid: number, by: number) => {
  if (readStat(pid)?.state === 'Z') return
  try {
    setPriority(pid, Math.min(19, getPriority() + by))
  } catch (error) {
    if (readStat(pid)) throw error
  }
}
