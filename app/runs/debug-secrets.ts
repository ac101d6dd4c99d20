import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A run whose output is shown by the one who starts it has no run folder; here lies what its action gives to `ctx.secret()`. */
export interface DebugSecrets {
  path: string
  /** For the environment of the run. */
  variables: NodeJS.ProcessEnv
  remove(): void
}

export const makeDebugSecrets = (runtime: string): DebugSecrets => {
  removeLeftovers(runtime)
  const path = join(runtime, `debug-${randomBytes(8).toString('hex')}.secrets`)
  closeSync(openSync(path, 'wx', 0o600))
  return { path, variables: { BGTASK_SECRETS_FILE: path }, remove: () => rmSync(path, { force: true }) }
}

/** The database's address for one run that is started by hand, since its environment must not hold it. */
export const makeDebugDatabaseUrl = (runtime: string, url: string): { path: string; remove(): void } => {
  removeLeftovers(runtime)
  const path = join(runtime, `debug-${randomBytes(8).toString('hex')}.database-url`)
  writeFileSync(path, url, { mode: 0o600, flag: 'wx' })
  return { path, remove: () => rmSync(path, { force: true }) }
}

const dayMs = 86_400_000

/** Of one who was killed and could not remove it. */
const removeLeftovers = (runtime: string) => {
  for (const name of readdirSync(runtime).filter(name => /^debug-[0-9a-f]{16}\.(secrets|database-url)$/.test(name))) {
    const path = join(runtime, name)
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat && Date.now() - stat.mtimeMs > dayMs) rmSync(path, { force: true })
  }
}
