import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { accessSync, chmodSync, constants, lstatSync, mkdirSync, writeFileSync } = process.getBuiltinModule('node:fs')

/** Where everything lies below the runtime folder. */
export const runtimePaths = (runtime: string) => ({
  database: join(runtime, 'bgtask.sqlite'),
  lock: join(runtime, 'bgtask.lock'),
  pid: join(runtime, 'bgtask.pid'),
  stop: join(runtime, 'bgtask.stop'),
  reload: join(runtime, 'bgtask.reload'),
  hold: join(runtime, 'bgtask.hold'),
  wake: join(runtime, 'bgtask.wake'),
  log: join(runtime, 'bgtask.log'),
  hostId: join(runtime, 'host-id'),
  databaseUrl: join(runtime, 'database-url'),
  catalog: join(runtime, 'actions.json'),
  runs: join(runtime, 'runs'),
  locks: join(runtime, 'locks'),
  run: (name: string) => runPaths(join(runtime, 'runs', name)),
  taskLock: (taskId: number) => join(runtime, 'locks', `${taskId}.lock`),
})

export const runPaths = (folder: string) => ({
  folder,
  ticket: join(folder, 'ticket.json'),
  output: join(folder, 'output.log'),
  rotatedOutput: join(folder, 'output.log.1'),
  beat: join(folder, 'beat.json'),
  outcome: join(folder, 'outcome.json'),
  /** There while the run is stopped for its output to be rotated. */
  rotating: join(folder, 'rotating'),
})

/**
 * Makes the runtime folder (0700) and what must be in it.
 * @throws BgtaskError `misconfigured` when it cannot be written, is a link, or belongs to others
 */
export const prepareRuntimeFolder = (runtime: string): void => {
  const paths = runtimePaths(runtime)
  try {
    for (const folder of [runtime, paths.runs, paths.locks]) mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (lstatSync(runtime).isSymbolicLink()) {
      throw new BgtaskError('misconfigured', `The runtime folder ${runtime} is a symbolic link. Set BGTASK_RUNTIME to the folder itself.`)
    }
    if (lstatSync(runtime).mode & 0o077) chmodSync(runtime, 0o700)
    accessSync(runtime, constants.R_OK | constants.W_OK | constants.X_OK)
    writeFileSync(join(runtime, '.writable'), '')
  } catch (error) {
    if (error instanceof BgtaskError) throw error
    throw notOurs(runtime, 'written', error)
  }
}

/**
 * Says early, and in words, that the folder cannot be read by this user; one that is not there yet is fine.
 * @throws BgtaskError `misconfigured`
 */
export const requireReadableRuntime = (runtime: string): void => {
  try {
    accessSync(runtime, constants.R_OK | constants.X_OK)
    accessSync(`${runtime}/`, constants.X_OK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw notOurs(runtime, 'read', error)
  }
}

const notOurs = (runtime: string, what: string, error: unknown) => {
  const folder = JSON.stringify(runtime)
  const user = process.getuid?.() ?? 'USER'
  return new BgtaskError(
    'misconfigured',
    `The runtime folder ${runtime} cannot be ${what} (${messageOf(error)}). It must belong to the user that runs bgtask: as root, chown -R ${user} ${folder} && chmod 700 ${folder}. Or set BGTASK_RUNTIME to another folder.`,
    { cause: error },
  )
}
