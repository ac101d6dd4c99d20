import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, readFileSync } from 'node:fs'
import { delimiter } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Config, configNames } from '../config.ts'
import { BgtaskError, messageOf } from '../errors.ts'
import { launcher, workRoot } from '../paths.ts'
import { writeDatabaseUrl } from '../runs/database-url-file.ts'
import { readHold, releaseHold } from '../runs/flags.ts'
import { writeNotify } from '../runs/notify-file.ts'
import { openLog } from '../runs/open-log.ts'
import { identify } from '../runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../runs/runtime-folder.ts'
import { readSupervisor, type SupervisorInfo } from '../runs/supervisor-file.ts'
import { type Sentence, told } from '../task/told.ts'

export interface LoopStart {
  /** Whether a supervisor was spawned by this call. Which of several simultaneous ones stays is decided by its lock. */
  started: boolean
  state: 'started' | 'starting' | 'running' | 'stopping' | 'hold'
  /** Of the supervisor that runs, or was spawned. */
  pid: number | null
  sentence: string
}

/**
 * Starts the loop on this host unless it runs or is on hold: spawns a detached `supervise` and returns at once.
 * @param by who asked
 * @param releaseHold ends an operator's hold; without it a hold is respected
 * @throws BgtaskError `misconfigured` when the runtime folder cannot be written, `failed` when no process can be started
 */
export const startLoop = async (
  config: Config,
  { releaseHold: release = false }: { by: string; releaseHold?: boolean },
): Promise<LoopStart> => {
  prepareRuntimeFolder(config.runtime)
  if (release) releaseHold(config.runtime)
  const idle = whyNotStart(config, { releaseHold: false })
  if (idle) return idle
  const child = await spawnSupervisor(config)
  return answer('started', child.pid!, `The supervisor is started (process ${child.pid}).`)
}

/** What startLoop would answer without doing anything; null when it would release a hold or start a process. */
export const whyNotStart = ({ runtime }: Pick<Config, 'runtime'>, { releaseHold }: { releaseHold: boolean }): LoopStart | null => {
  const held = readHold(runtime)
  if (held && releaseHold) return null
  if (held)
    return answer(
      'hold',
      null,
      `The supervisor is on hold by ${held.by} since ${new Date(held.at).toISOString()}; release the hold to start it.`,
    )
  const running = readSupervisor(runtime)
  if (running) return alreadyThere(running)
  const mine = spawned.get(runtime)
  // One that has just ended and that Node has not yet told us of is none.
  if (mine && mine.exitCode === null && mine.signalCode === null && identify(mine.pid!) !== null)
    return answer('starting', mine.pid!, `The supervisor is just being started (process ${mine.pid}).`)
  return null
}

/**
 * Waits until the loop is up.
 * @throws BgtaskError `failed` with the last line of bgtask.log when the supervisor that this process spawned ended, or time is over
 */
export const waitForLoop = async (config: Config, { timeoutMs = 15_000 }: { timeoutMs?: number } = {}): Promise<SupervisorInfo> => {
  const child = spawned.get(config.runtime)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const info = readSupervisor(config.runtime)
    if (info) return info
    const ended = child && (child.exitCode !== null || child.signalCode !== null)
    // It may have found another one that holds the lock and has not yet said who it is: 75 is no failure.
    if (ended && child.exitCode !== 75)
      throw notUp(
        config,
        told`The supervisor did not start: its process ended with ${child.signalCode ?? told`exit code ${child.exitCode ?? '?'}`}`,
      )
    if (performance.now() > deadline) throw notUp(config, told`The supervisor is not up after ${Math.round(timeoutMs / 1000)} s`)
    await wait(30)
  }
}

/**
 * That a supervisor says who it is: from then on its own file tells of it. When it has taken that away it is leaving, and not starting,
 * though its process still lives.
 */
export const noteUp = (runtime: string, supervisor: SupervisorInfo | null): void => {
  if (supervisor !== null && spawned.get(runtime)?.pid === supervisor.pid) spawned.delete(runtime)
}

/**
 * The environment of a process of ours that is told the whole configuration: what differs from the defaults may have come from anywhere.
 * Named variables only. The database's address, and to whom incidents are told, are no part of it: they lie in files that only this user may read.
 */
export const supervisorEnvironment = (
  config: Config,
  parent: NodeJS.ProcessEnv = process.env,
  databaseUrlFile: string = runtimePaths(config.runtime).databaseUrl,
): NodeJS.ProcessEnv => {
  const names = [...handedToSupervisor, ...configNames.filter(name => !isSecretSetting(name)), ...config.childEnv]
  return {
    ...Object.fromEntries(names.flatMap(name => (parent[name] === undefined ? [] : [[name, parent[name]]]))),
    DATABASE_URL_FILE: databaseUrlFile,
    ...(config.notify ? { BGTASK_NOTIFY_FILE: runtimePaths(config.runtime).notify } : {}),
    BGTASK_RUNTIME: config.runtime,
    BGTASK_ACTIONS: config.actions.join(delimiter),
    BGTASK_MODULES: config.modules,
    ...(config.commands ? { BGTASK_COMMANDS: config.commands } : {}),
    BGTASK_MAX_RUNNING: String(config.maxRunning),
    BGTASK_OUTPUT_BYTES: String(config.outputBytes),
    BGTASK_KEEP_RUNS: String(config.keepRuns),
    BGTASK_KEEP_DAYS: String(config.keepDays),
    BGTASK_KEEP_AUDIT_DAYS: String(config.keepAuditDays),
    ...(config.childEnv.length > 0 ? { BGTASK_CHILD_ENV: config.childEnv.join(',') } : {}),
  }
}

/** What programs want to know of the user and the machine, and what Node and we ourselves are told by. */
const handedToSupervisor = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'LC_ALL', 'TZ', 'TMPDIR', 'XDG_RUNTIME_DIR'],
  ...['NODE_ENV', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'BGTASK_LOG_LEVEL', 'DEBUG'],
]
const isSecretSetting = (name: string) => name === 'DATABASE_URL' || name === 'BGTASK_ADMIN_PASSWORD' || name.startsWith('BGTASK_NOTIFY_')

/** By runtime folder; those that have not yet said who they are. */
const spawned = new Map<string, ChildProcess>()

const spawnSupervisor = async (config: Config): Promise<ChildProcess> => {
  writeDatabaseUrl(config.runtime, config.databaseUrl)
  if (config.notify) writeNotify(config.runtime, config.notify)
  const log = openLog(runtimePaths(config.runtime).log)
  try {
    // It makes little garbage: a small young generation saves 6 MB of memory.
    const child = spawn(process.execPath, ['--max-semi-space-size=1', launcher, 'supervise'], {
      cwd: workRoot,
      env: supervisorEnvironment(config),
      detached: true,
      stdio: ['ignore', log, log],
    })
    // Known before it is waited for, so that a second call in the same moment finds it.
    spawned.set(config.runtime, child)
    child.unref()
    if (child.pid === undefined) await once(child, 'spawn')
    forgetOnceUp(config.runtime, child)
    return child
  } catch (error) {
    spawned.delete(config.runtime)
    throw new BgtaskError('failed', told`The supervisor cannot be started: no process could be made (${messageOf(error)}).`, {
      cause: error,
    })
  } finally {
    closeSync(log)
  }
}

const lookEveryMs = 50

const forgetOnceUp = (runtime: string, child: ChildProcess) => {
  const timer = setInterval(() => {
    noteUp(runtime, readSupervisor(runtime))
    if (spawned.get(runtime) !== child || child.exitCode !== null || child.signalCode !== null) clearInterval(timer)
  }, lookEveryMs).unref()
}

const answer = (state: LoopStart['state'], pid: number | null, sentence: string): LoopStart => ({
  started: state === 'started',
  state,
  pid,
  sentence,
})

const alreadyThere = (running: SupervisorInfo) =>
  running.phase === 'stopping'
    ? answer('stopping', running.pid, `The supervisor is just stopping (process ${running.pid}); start it when it has ended.`)
    : answer('running', running.pid, `The supervisor runs already (process ${running.pid}).`)

const notUp = (config: Config, what: Sentence) => {
  const { log } = runtimePaths(config.runtime)
  const last = readFileSync(log, 'utf8').trimEnd().split('\n').at(-1)
  return new BgtaskError('failed', told`${what}. ${last ? told`The last line of ${log}: ${last}` : told`See ${log}.`}`)
}
