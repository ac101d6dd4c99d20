import { closeSync, futimesSync, openSync } from 'node:fs'
import { runtimePaths } from './runtime-folder.ts'

/** Touches bgtask.wake, so that the supervisor on this host looks at once. @returns false when there is no runtime folder to ring in */
export const ring = (runtime: string): boolean => touch(runtimePaths(runtime).wake)

/** Touches bgtask.changed, so that panels on this host look at once. @returns as above */
export const ringPanels = (runtime: string): boolean => touch(runtimePaths(runtime).changed)

const touch = (path: string): boolean => {
  try {
    const descriptor = openSync(path, 'a', 0o600)
    const now = Date.now() / 1000
    futimesSync(descriptor, now, now)
    closeSync(descriptor)
    return true
  } catch {
    return false // all is stored; without a doorbell the next poll finds it within a second
  }
}
