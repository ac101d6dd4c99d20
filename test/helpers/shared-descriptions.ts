import { copyFileSync, existsSync } from 'node:fs'
import { loadCatalog } from '../../app/catalog/catalog.ts'
import { inPackage } from '../../app/paths.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { sharedCompileCache } from './shared-compile-cache.ts'

/*
 * Whoever is first on a runtime folder starts a process that loads each action to describe it, and hundreds of tests have a folder of their own with
 * the same actions. In a run of all tests these are described once, and what was learnt lies in each new folder, as if another process had been
 * there before. What is about the describing itself (test/catalog) has nothing of it, and no more has a file that is run by hand.
 */

/** Describes the fixtures and the examples. @param folder that of the compile cache */
export const describeForAll = async (folder: string): Promise<void> => {
  await loadCatalog({ actions: [inPackage('test', 'fixtures', 'actions'), inPackage('app', 'actions')], runtime: folder })
}

/** Puts what is known of them into a new runtime folder. */
export const shareDescriptions = (runtime: string): void => {
  const { NODE_COMPILE_CACHE } = sharedCompileCache()
  if (NODE_COMPILE_CACHE === undefined) return
  const known = runtimePaths(NODE_COMPILE_CACHE).catalog
  if (existsSync(known)) copyFileSync(known, runtimePaths(runtime).catalog)
}
