import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Background, openBackground } from '../../app/api/background.ts'
import { loadConfig } from '../../app/config.ts'
import { launcher } from '../../app/paths.ts'
import { findMarked } from '../../app/runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor, type SupervisorInfo } from '../../app/runs/supervisor-file.ts'
import { until } from './until.ts'

/** A runtime folder with its database, and supervisors on it; all is gone when it is disposed of, or when this process ends. */
export interface Stage extends AsyncDisposable {
  readonly background: Background
  readonly runtime: string
  /** For files of the measurement itself. */
  readonly folder: string
  /** Starts `node index.js supervise`; resolves when it says who it is. */
  supervise(): Promise<SupervisorInfo>
  /** SIGKILL to the supervisor; its runs live on. */
  killSupervisor(): Promise<void>
  /** SIGTERM, and waits until it has left. */
  stopSupervisor(): Promise<void>
  /** How many tasks are in one of these states, and belong to this life of a supervisor. */
  count(where: { state?: readonly string[]; epoch?: string }): Promise<number>
}

export const benchActions = join(import.meta.dirname, 'actions')
export const ourActions = join(import.meta.dirname, '..', '..', 'app', 'actions')

export const openStage = async (options: { actions: string; databaseUrl?: string; env?: Record<string, string> }): Promise<Stage> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-bench-'))
  const runtime = join(folder, 'runtime')
  const log = join(folder, 'supervisor.log')
  let supervisor: ChildProcess | undefined
  const clean = () => {
    supervisor?.kill('SIGKILL')
    endRuns(runtime)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', clean)

  mkdirSync(runtime, { mode: 0o700 })
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME ?? '/',
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: options.actions,
    ...(options.databaseUrl ? { DATABASE_URL: options.databaseUrl } : {}),
    ...options.env,
  }
  prepareRuntimeFolder(runtime)
  const background = await openBackground(await loadConfig(env))

  const supervise = async () => {
    const output = openSync(log, 'a')
    const child = spawn(process.execPath, [...profiling(), launcher, 'supervise'], { env, stdio: ['ignore', output, output] })
    closeSync(output)
    supervisor = child
    return until(
      'the supervisor says who it is',
      () => {
        if (child.exitCode !== null) throw new Error(`The supervisor left with code ${child.exitCode}:\n${readFileSync(log, 'utf8')}`)
        const info = readSupervisor(runtime)
        return info?.pid === child.pid && info
      },
      { everyMs: 2, otherwise: () => readFileSync(log, 'utf8') },
    )
  }
  return {
    background,
    runtime,
    folder,
    supervise,
    killSupervisor: () => end(supervisor, 'SIGKILL'),
    stopSupervisor: () => end(supervisor, 'SIGTERM'),
    count: async ({ state, epoch }) => {
      let query = background.db.kysely.selectFrom('bg_task').select(({ fn }) => fn.countAll<number>().as('tasks'))
      if (state) query = query.where('state', 'in', [...state] as never)
      if (epoch) query = query.where('epoch', '=', epoch)
      return Number((await query.executeTakeFirstOrThrow()).tasks)
    },
    [Symbol.asyncDispose]: async () => {
      await background.close()
      if (process.env.BGTASK_BENCH_PROFILE) await end(supervisor, 'SIGTERM')
      process.off('exit', clean)
      clean()
    },
  }
}

/** BGTASK_BENCH_PROFILE=<folder> leaves a CPU profile of each supervisor that was not killed. */
const profiling = () => (process.env.BGTASK_BENCH_PROFILE ? ['--cpu-prof', `--cpu-prof-dir=${process.env.BGTASK_BENCH_PROFILE}`] : [])

const end = async (process: ChildProcess | undefined, signal: 'SIGTERM' | 'SIGKILL') => {
  if (!process || process.exitCode !== null || process.signalCode !== null) return
  const ended = once(process, 'exit')
  process.kill(signal)
  await ended
}

/** Kills every run of this runtime folder. One that was being spawned when the supervisor died shows up in the next look. */
const endRuns = (runtime: string) => {
  const path = runtimePaths(runtime).hostId
  if (!existsSync(path)) return
  const host = readFileSync(path, 'utf8').trim()
  for (let looks = 0, calm = 0; looks < 100 && calm < 2; looks++) {
    const runs = findMarked(mark => mark.startsWith(`${host}/`))
    calm = runs.length ? 0 : calm + 1
    for (const { identity } of runs) killIfThere(identity.pid)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}

const killIfThere = (pid: number) => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
