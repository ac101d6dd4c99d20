import { closeSync, futimesSync, openSync } from 'node:fs'
import { runtimePaths } from './runtime-folder.ts'

/** Touches bgtask.wake, so that the supervisor on this host looks at once. @returns false when there is no runtime folder to ring in */
export const ring = (runtime: string): boolean => {
  try {
    const descriptor = openSync(runtimePaths(runtime).wake, 'a', 0o600)
    const now = Date.now() / 1000
    futimesSync(descriptor, now, now)
    closeSync(descriptor)
    return true
  } catch {
    return false // the task is stored; without a doorbell the next poll finds it within a second
  }
}
