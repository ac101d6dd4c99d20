import { randomBytes } from 'node:crypto'
import { madeOnce } from './made-once.ts'
import { runtimePaths } from './runtime-folder.ts'

/** The name of this runtime folder among all that share the database: made once, kept in runtime/host-id, so it survives a changed hostname. */
export const hostId = (runtime: string): string => madeOnce(runtimePaths(runtime).hostId, () => randomBytes(6).toString('hex'))
