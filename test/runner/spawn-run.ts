import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inPackage, launcher } from '../../app/paths.ts'
import { type Beat, readBeat } from '../../app/runs/beat.ts'
import { type RunEnd, readOutcome } from '../../app/runs/outcome-file.ts'
import { runPaths } from '../../app/runs/runtime-folder.ts'
import { type StopRequest, writeStopRequest } from '../../app/runs/stop-file.ts'
import { type Ticket, writeTicket } from '../../app/runs/ticket.ts'
import type { ExecType, Json } from '../../app/task/task.ts'
import { sharedCompileCache } from '../helpers/shared-compile-cache.ts'

/** A runner as the supervisor starts it, without a supervisor. */
export interface SpawnedRun {
  folder: string
  process: ChildProcess
  output(): string
  beat(): Beat | null
  /** Waits until the output holds `text`. */
  says(text: string): Promise<void>
  stop(why: StopRequest['why']): void
  /** Waits for the end. */
  end(): Promise<{ code: number | null; signal: string | null; outcome: RunEnd | null; output: string; tookMs: number }>
}

export const actionFile = (action: string) => inPackage('test', 'fixtures', 'actions', `${action}.ts`)

export const ticketOf = (action: string, more: Partial<Ticket> = {}): Ticket => ({
  taskId: 7,
  uid: 'abcdefghijklmnop',
  number: 3,
  action,
  file: actionFile(action),
  exportName: 'execute',
  params: null,
  execType: 'ONCE' satisfies ExecType,
  type: 'test',
  creator: 'somebody',
  attempt: 0,
  timeoutMs: null,
  graceMs: 10_000,
  stallMs: null,
  stallRestart: false,
  epoch: 'e1',
  host: 'h1',
  wish: 0,
  mark: '7-3-x',
  startedAt: Date.now(),
  ...more,
})

export const spawnRun = async (
  action: string,
  {
    params = null,
    ticket = {},
    nodeArguments = [],
    environment = {},
    runtime = mkdtempSync(join(tmpdir(), 'bgtask-runner-')),
    withTicket = true,
  }: {
    params?: Json
    ticket?: Partial<Ticket>
    nodeArguments?: string[]
    environment?: NodeJS.ProcessEnv
    runtime?: string
    withTicket?: boolean
  } = {},
): Promise<SpawnedRun> => {
  const folder = join(runtime, 'runs', '7-3')
  await mkdir(folder, { recursive: true })
  if (withTicket) writeTicket(folder, ticketOf(action, { params, ...ticket }))
  const paths = runPaths(folder)
  const descriptor = openSync(paths.output, 'a', 0o600)
  const started = performance.now()
  const child = spawn(process.execPath, [...nodeArguments, launcher, action, '7'], {
    env: {
      PATH: process.env.PATH,
      BGTASK_RUNTIME: runtime,
      BGTASK_RUN: '7-3-x',
      BGTASK_RUN_FOLDER: folder,
      ...sharedCompileCache(),
      ...environment,
    },
    detached: true,
    stdio: ['ignore', descriptor, descriptor],
  })
  closeSync(descriptor)
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const output = () => readFileSync(paths.output, 'utf8')
  return {
    folder,
    process: child,
    output,
    beat: () => readBeat(paths.beat),
    async says(text) {
      while (!output().includes(text)) {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`It ended without saying ${text}:\n${output()}`)
        await sleep(5)
      }
    },
    stop(why) {
      writeStopRequest(folder, { why, at: Date.now(), graceMs: 10_000, by: null })
      child.kill('SIGTERM')
    },
    async end() {
      const [code, signal] = await exit
      return { code, signal, outcome: readOutcome(paths.outcome), output: output(), tookMs: performance.now() - started }
    },
  }
}
