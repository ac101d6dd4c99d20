import { readFileSync } from 'node:fs'
import { runtimePaths } from './runtime-folder.ts'
import { writeWhole } from './write-file.ts'

/** The database URL for actions that ask for it: a 0600 file, since an environment is inherited by everything an action starts. */
export const writeDatabaseUrl = (runtime: string, url: string): void => writeWhole(runtimePaths(runtime).databaseUrl, url)
export const readDatabaseUrl = (runtime: string): string => readFileSync(runtimePaths(runtime).databaseUrl, 'utf8').trim()
