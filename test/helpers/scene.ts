import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Background, openBackground } from '../../app/api/background.ts'
import { type Config, loadConfig } from '../../app/config.ts'
import { findMarked } from '../../app/runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../../app/runs/runtime-folder.ts'
import { readSupervisor, type SupervisorInfo } from '../../app/runs/supervisor-file.ts'
import { findTask } from '../../app/store/find-task.ts'
import { listRuns } from '../../app/store/list-runs.ts'
import type { Run } from '../../app/task/run.ts'
import type { Task, TaskState } from '../../app/task/task.ts'
import { linkCompileCache } from './shared-compile-cache.ts'
import { shareDescriptions } from './shared-descriptions.ts'

const root = join(import.meta.dirname, '..', '..')

/** A runtime folder, a database and supervisors of its own, all gone when the test is over. */
export interface Scene {
  config: Config
  background: Background
  runtime: string
  /** The file that the witness actions append to. */
  witness: string
  /** Starts `node index.js supervise` and waits until it says who it is. */
  supervise(): Promise<Supervising>
  task(id: number): Promise<Task>
  runs(id: number): Promise<Run[]>
  untilState(id: number, states: TaskState | TaskState[], withinMs?: number): Promise<Task>
  witnessed(): Witnessed[]
  /** Live processes of runs of this scene. */
  marked(): { pid: number; mark: string }[]
  supervisorLog(): string
}

export interface Supervising {
  process: ChildProcess
  info: SupervisorInfo
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** SIGTERM, and waits; gives its exit code. */
  stop(): Promise<number | null>
}

export interface Witnessed {
  what: 'start' | 'beat' | 'end'
  taskId: number
  number: number
  pid: number
  at: bigint
}

export const makeScene = async (
  t: TestContext,
  options: { databaseUrl?: string; runtime?: string; env?: Record<string, string> } = {},
): Promise<Scene> => {
  const runtime = options.runtime ?? mkdtempSync(join(tmpdir(), 'bgtask-scene-'))
  if (!options.runtime) {
    linkCompileCache(runtime)
    shareDescriptions(runtime)
  }
  const env = {
    PATH: process.env.PATH!,
    HOME: process.env.HOME ?? '/',
    BGTASK_RUNTIME: runtime,
    BGTASK_ACTIONS: join(root, 'test', 'fixtures', 'actions'),
    ...(options.databaseUrl ? { DATABASE_URL: options.databaseUrl } : {}),
    ...options.env,
  }
  const config = await loadConfig(env)
  prepareRuntimeFolder(runtime)
  const background = await openBackground(config)
  const supervisors: ChildProcess[] = []
  const log = join(runtime, 'supervisor-of-test.log')
  const witness = join(runtime, 'witness')

  const marked = () => {
    const host = existsSync(runtimePaths(runtime).hostId) ? readFileSync(runtimePaths(runtime).hostId, 'utf8').trim() : null
    return host === null ? [] : findMarked(mark => mark.startsWith(`${host}/`)).map(({ identity, mark }) => ({ pid: identity.pid, mark }))
  }
  t.after(async () => {
    for (const supervisor of supervisors) if (supervisor.exitCode === null && supervisor.signalCode === null) supervisor.kill('SIGKILL')
    for (const { pid } of marked()) killIfThere(pid)
    await background.close()
    if (!options.runtime) rmSync(runtime, { recursive: true, force: true, maxRetries: 5 })
  })

  const supervise = async (): Promise<Supervising> => {
    const output = openSync(log, 'a')
    const child = spawn(process.execPath, [join(root, 'index.js'), 'supervise'], { env, stdio: ['ignore', output, output] })
    closeSync(output)
    supervisors.push(child)
    const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
    const info = await until(`the supervisor ${child.pid} says who it is`, () => {
      if (child.exitCode !== null) throw new Error(`supervise left with code ${child.exitCode}:\n${readFileSync(log, 'utf8')}`)
      const found = readSupervisor(runtime)
      return found?.pid === child.pid ? found : null
    })
    return {
      process: child,
      info,
      kill: async () => {
        child.kill('SIGKILL')
        await ended
      },
      stop: () => {
        child.kill('SIGTERM')
        return ended
      },
    }
  }
  const task = async (id: number) => {
    const found = await findTask(background.db, id)
    if (!found) throw new Error(`task ${id} is not there`)
    return found
  }
  return {
    config,
    background,
    runtime,
    witness,
    supervise,
    task,
    runs: id => listRuns(background.db, id, { limit: 1_000 }),
    untilState: (id, states, withinMs) =>
      until(
        `task ${id} is ${states}`,
        async () => {
          const found = await task(id)
          return [states].flat().includes(found.state) ? found : null
        },
        withinMs,
        async () => `it is ${JSON.stringify(await task(id))}\n${readFileSync(log, 'utf8').slice(-3_000)}`,
      ),
    witnessed: () => readWitness(witness),
    marked,
    supervisorLog: () => readFileSync(log, 'utf8'),
  }
}

/** SIGKILL to a process that may end at this moment by itself. */
export const killIfThere = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * Asks until something is so. How long that takes on a busy machine is no promise of ours: what is one is given `withinMs`.
 * @throws when it is not within the time, with what `otherwise` tells
 */
export const until = async <T>(
  what: string,
  ask: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  withinMs = 30_000,
  otherwise: () => string | Promise<string> = () => '',
): Promise<T> => {
  const begun = performance.now()
  const deadline = begun + withinMs
  for (;;) {
    const answer = await ask()
    if (answer !== null && answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}. ${await otherwise()}`)
    // What takes long is asked for less often: dozens of tests ask at once, and asking is work as well.
    await delay(performance.now() - begun < 1_000 ? 20 : 50)
  }
}

const readWitness = (path: string): Witnessed[] => {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => {
      const [what, taskId, number, pid, at] = line.split(' ')
      return { what: what as Witnessed['what'], taskId: Number(taskId), number: Number(number), pid: Number(pid), at: BigInt(at!) }
    })
}

/** Pairs of runs of one task of which both left a sign of life while the other lived: there must be none. */
export const overlaps = (witnessed: readonly Witnessed[]): string[] => {
  const runs = Map.groupBy(witnessed, sign => `${sign.taskId}-${sign.number}`)
  const spans = [...runs].map(([name, signs]) => ({ name, taskId: signs[0]!.taskId, first: signs[0]!.at, last: signs.at(-1)!.at }))
  return [...Map.groupBy(spans, span => span.taskId).values()].flatMap(own => {
    const inOrder = own.sort((a, b) => (a.first < b.first ? -1 : 1))
    return inOrder
      .slice(1)
      .flatMap((span, index) => (span.first < inOrder[index]!.last ? [`${inOrder[index]!.name} and ${span.name}`] : []))
  })
}
