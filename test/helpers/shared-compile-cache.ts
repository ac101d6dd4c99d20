import { symlinkSync } from 'node:fs'
import { join } from 'node:path'

/*
 * What Node has compiled once need not be compiled by each of the hundreds of processes that tests start: `npm test` names one folder for all
 * of them (NODE_COMPILE_CACHE). A file that is run by hand has none, and all is as before.
 */

/** For the environment of a process whose runtime folder may not be there yet. */
export const sharedCompileCache = (): { NODE_COMPILE_CACHE?: string } => {
  const { NODE_COMPILE_CACHE } = process.env
  return NODE_COMPILE_CACHE ? { NODE_COMPILE_CACHE } : {}
}

/** Lets all that runs on this new runtime folder use it, also what gets an environment of the product's making. */
export const linkCompileCache = (runtime: string): void => {
  const { NODE_COMPILE_CACHE } = sharedCompileCache()
  if (NODE_COMPILE_CACHE) symlinkSync(NODE_COMPILE_CACHE, join(runtime, 'compile-cache'))
}
