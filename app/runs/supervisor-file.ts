import { rmSync } from 'node:fs'
import { bootId, isAlive, type ProcessIdentity } from './process-identity.ts'
import { runtimePaths } from './runtime-folder.ts'
import { readJson, writeJson } from './write-file.ts'

/** bgtask.pid: who the supervisor is and how it fares. Information only; the lock is the truth. */
export interface SupervisorInfo extends ProcessIdentity {
  epoch: string
  version: string
  startedAt: number
  /** Written anew within half a second of a change, and every 2.5 s in any case. */
  tickAt: number
  phase: 'running' | 'stopping'
  databaseAwaySince: number | null
  /** Ended runs that lie in their folders and are not in the database yet. */
  unrecorded: number
  running: number
  loops: number
  /** Absent when there are none. */
  residents?: ResidentInfo[]
}

/** A resident runner, as a page tells of it. */
export interface ResidentInfo {
  name: string
  action: string
  pid: number
  startedAt: number
  state: 'starting' | 'ready' | 'leaving'
  /** Tasks that it has been handed, those that it holds now, and of those the first that it has begun. */
  handed: number
  held: number
  concurrency: number
  begun: { taskId: number; number: number; beganAt: number }[]
  /** It gives no sign of life. */
  blockedSince: number | null
}

export const writeSupervisor = (runtime: string, info: SupervisorInfo): void => writeJson(runtimePaths(runtime).pid, info)

/** It is written every two and a half seconds; one that is not for this long is frozen, or the disk is full. */
const silentAfterMs = 6_000
export const isSilent = ({ tickAt }: Pick<SupervisorInfo, 'tickAt'>, now: number): boolean => now - tickAt > silentAfterMs

/** @returns null when none lives; a file left behind by a killed one, or naming a reused pid, counts for nothing */
export const readSupervisor = (runtime: string): SupervisorInfo | null => {
  const info = readJson<SupervisorInfo>(runtimePaths(runtime).pid)
  return info && isAlive(info) ? info : null
}
/** One that ended without taking its file away: it was killed. null when there is none, or the machine has been started anew since. */
export const deadSupervisor = (runtime: string): SupervisorInfo | null => {
  const info = readJson<SupervisorInfo>(runtimePaths(runtime).pid)
  return info && info.bootId === bootId() && !isAlive(info) ? info : null
}
export const removeSupervisor = (runtime: string): void => rmSync(runtimePaths(runtime).pid, { force: true })
