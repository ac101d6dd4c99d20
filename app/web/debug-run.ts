import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { StringDecoder } from 'node:string_decoder'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { launcher, workRoot } from '../paths.ts'
import { makeDebugSecrets } from '../runs/debug-secrets.ts'
import type { SecretConfig } from '../runs/known-secrets.ts'
import { findMarked, isAlive, readUsage } from '../runs/process-identity.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runEnvironment } from '../runs/run-environment.ts'
import { readSecrets } from '../runs/secrets-file.ts'
import { sendSignal } from '../runs/send-signal.ts'
import { createRedactingStream } from '../secrets/redacting-stream.ts'
import type { Redactor } from '../secrets/redactor.ts'
import type { Task } from '../task/task.ts'

export interface DebugEnd {
  exitCode: number | null
  signal: string | null
  /** `time`: the limit was reached; `stopped`: the visitor left, or the panel ends; `self`: it ended by itself. */
  why: 'self' | 'time' | 'stopped'
  tookMs: number
  peakMemoryBytes: number
  cpuMs: number
}

/** Kept between asking a debug run to stop and making it. */
const graceMs = 1_500

/**
 * `node index.js <action> <id>` as a child, as somebody would type it in a terminal but with the environment of a supervised run.
 * A loop runs one iteration. Nothing of it is left when this resolves.
 * @param print called with what it prints, stdout and stderr as they come and without secrets; it is not read faster than `print` takes it
 */
export const runForDebug = async (
  config: Pick<Config, 'runtime' | 'actions' | 'commands' | 'childEnv'> & SecretConfig,
  task: Pick<Task, 'id' | 'action' | 'execType' | 'params'>,
  { limitMs, signal, print }: { limitMs: number; signal: AbortSignal; print: (text: string) => Promise<void> },
): Promise<DebugEnd> => {
  const mark = `debug-${task.id}-${randomBytes(8).toString('hex')}`
  const secrets = makeDebugSecrets(config.runtime)
  const redactor = () => redactionOf(config).ofValues(task.params, readSecrets(secrets.path))
  const env = {
    ...runEnvironment(config, { mark }),
    ...secrets.variables,
    ...(task.execType === 'FOREVER' ? { BGTASK_MAX_ITERATIONS: '1' } : {}),
    FORCE_COLOR: '1',
    // Who pressed the button is in the audit already.
    BGTASK_AUDITED: '1',
  }
  const startedAt = performance.now()
  const child = spawn(process.execPath, [launcher, task.action, String(task.id)], {
    cwd: workRoot,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<{ exitCode: number | null; signal: string | null }>(resolve => {
    child.once('exit', (exitCode, sent) => resolve({ exitCode, signal: sent }))
    child.once('error', error => print(`${messageOf(error)}\n`).then(() => resolve({ exitCode: null, signal: null })))
  })
  let usage = { peakMemoryBytes: 0, cpuMs: 0 }
  const look = setInterval(() => {
    const now = child.pid === undefined ? null : readUsage(child.pid)
    // A process that is just ending shows no memory any more.
    if (now) usage = { peakMemoryBytes: Math.max(usage.peakMemoryBytes, now.peakMemoryBytes), cpuMs: Math.max(usage.cpuMs, now.cpuMs) }
  }, 100)

  let why: DebugEnd['why'] = 'self'
  let force: NodeJS.Timeout | undefined
  const stop = (reason: DebugEnd['why']) => {
    if (force !== undefined) return
    why = reason
    toGroup(child.pid, 'SIGTERM')
    force = setTimeout(() => toGroup(child.pid, 'SIGKILL'), graceMs)
  }
  const leave = () => stop('stopped')
  const limit = setTimeout(() => stop('time'), limitMs)
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave)
  const pumps = [child.stdout, child.stderr].map(stream => pump(stream, redactor, print))
  const { exitCode, signal: endedBy } = await ended
  const tookMs = performance.now() - startedAt
  clearTimeout(limit)
  clearTimeout(force)
  clearInterval(look)
  signal.removeEventListener('abort', leave)
  sweep(child.pid, mark)
  // What it started and left behind may hold the pipes open no longer: the sweep has ended it.
  await Promise.race([Promise.all(pumps), new Promise(resolve => setTimeout(resolve, 1000).unref())])
  for (const stream of [child.stdout, child.stderr]) stream.destroy()
  secrets.remove()
  return { exitCode, signal: endedBy, why, tookMs, ...usage }
}

const pump = async (stream: NodeJS.ReadableStream, redactor: () => Redactor, print: (text: string) => Promise<void>) => {
  const decoder = new StringDecoder('utf8')
  const shown = createRedactingStream(redactor)
  try {
    for await (const chunk of stream) await print(decoder.write(shown.push(chunk as Buffer)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
  await print(decoder.write(shown.end()) + decoder.end())
}

const toGroup = (pid: number | undefined, signal: NodeJS.Signals) => {
  if (pid !== undefined) sendSignal(-pid, signal)
}

/** Also what left the group carries the mark of this run in its environment. */
const sweep = (pid: number | undefined, mark: string) => {
  toGroup(pid, 'SIGKILL')
  for (const { identity } of findMarked(found => found === mark)) if (isAlive(identity)) sendSignal(identity.pid, 'SIGKILL')
}
