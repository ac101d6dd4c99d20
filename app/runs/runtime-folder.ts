import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'
import { makeFolder } from './make-folder.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { accessSync, chmodSync, constants, lstatSync, readdirSync, writeFileSync } = process.getBuiltinModule('node:fs')

/** Where everything lies below the runtime folder. */
export const runtimePaths = (runtime: string) => ({
  database: join(runtime, 'bgtask.sqlite'),
  lock: join(runtime, 'bgtask.lock'),
  pid: join(runtime, 'bgtask.pid'),
  stop: join(runtime, 'bgtask.stop'),
  reload: join(runtime, 'bgtask.reload'),
  hold: join(runtime, 'bgtask.hold'),
  wake: join(runtime, 'bgtask.wake'),
  /** Touched by the supervisor when it has written that tasks have changed, so that open pages need not ask all the time. */
  changed: join(runtime, 'bgtask.changed'),
  log: join(runtime, 'bgtask.log'),
  /** Of a panel in the background: who it is, what it says, and who is just starting, stopping or reloading it. */
  panel: join(runtime, 'panel.pid'),
  /** Its number alone, for systemd (PIDFile). */
  panelMainPid: join(runtime, 'panel.mainpid'),
  panelLog: join(runtime, 'panel.log'),
  panelLock: join(runtime, 'panel.lock'),
  hostId: join(runtime, 'host-id'),
  databaseUrl: join(runtime, 'database-url'),
  sessionSecret: join(runtime, 'session-secret'),
  /** To whom incidents are told, with what that takes. */
  notify: join(runtime, 'notify.json'),
  /** The first administrator's one-time link, while it is good. */
  firstRun: join(runtime, 'first-run'),
  catalog: join(runtime, 'actions.json'),
  /** What is known of the modules. */
  modules: join(runtime, 'modules.json'),
  /** The text of the key that lets cron be run by its address. */
  cronKey: join(runtime, 'cron-key'),
  runs: join(runtime, 'runs'),
  residents: join(runtime, 'residents'),
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
  /** What the action asked to hide. */
  secrets: join(folder, 'secrets.jsonl'),
  /** The files that the action declared to have made. */
  artifacts: join(folder, 'artifacts.json'),
  outcome: join(folder, 'outcome.json'),
  /** Where a run of another user says how it ended; what is in outcome.json goes before it. */
  said: join(folder, 'outcome.said'),
  stop: join(folder, 'stop.json'),
  /** How much it had printed before what lies in output.log now. */
  printed: join(folder, 'printed.json'),
  /** There while the run is stopped for its output to be rotated. */
  rotating: join(folder, 'rotating'),
})

/**
 * Makes the runtime folder (0700) and what must be in it.
 * One that others could get into is closed, and it is said so on stderr.
 * @throws BgtaskError `misconfigured` when it cannot be written, is a link, belongs to somebody else, or somebody else has put something into it
 */
export const prepareRuntimeFolder = (runtime: string): void => {
  const paths = runtimePaths(runtime)
  try {
    makeFolder(runtime)
    requireOwn(runtime)
    closeToOthers(runtime)
    accessSync(runtime, constants.R_OK | constants.W_OK | constants.X_OK)
    for (const folder of [paths.runs, paths.locks]) makeFolder(folder)
    writeFileSync(join(runtime, '.writable'), '', { mode: 0o600 })
  } catch (error) {
    if (error instanceof BgtaskError) throw error
    throw notOurs(runtime, 'written', error)
  }
}

const requireOwn = (runtime: string) => {
  const stat = lstatSync(runtime)
  if (stat.isSymbolicLink())
    throw new BgtaskError('misconfigured', `The runtime folder ${runtime} is a symbolic link. Set BGTASK_RUNTIME to the folder itself.`)
  if (isOurs(stat.uid)) return
  throw notOurs(runtime, 'trusted', new Error(`it belongs to user ${stat.uid}, and this is user ${process.getuid?.()}`))
}

const closeToOthers = (runtime: string) => {
  const mode = lstatSync(runtime).mode & 0o777
  if ((mode & 0o077) === 0) return
  chmodSync(runtime, 0o700)
  // Whoever could write may have laid something there which we would trust: a link, or a list of actions.
  if (mode & 0o022) requireNothingForeign(runtime)
  const done = mode & 0o022 ? 'changed' : 'looked into'
  console.error(`bgtask: the runtime folder ${runtime} could be ${done} by others (mode ${mode.toString(8)}); it is closed to them now.`)
}

const requireNothingForeign = (runtime: string) => {
  for (const name of readdirSync(runtime)) {
    const stat = lstatSync(join(runtime, name))
    if (!stat.isSymbolicLink() && isOurs(stat.uid)) continue
    const what = stat.isSymbolicLink() ? 'is a symbolic link' : `belongs to user ${stat.uid}`
    throw new BgtaskError(
      'misconfigured',
      `Others could write into the runtime folder ${runtime}, and ${JSON.stringify(name)} in it ${what}. See what it is and remove it, or set BGTASK_RUNTIME to another folder.`,
    )
  }
}

const isOurs = (uid: number) => process.getuid === undefined || uid === process.getuid()

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
