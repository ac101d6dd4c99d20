import { type ChildProcess, spawn } from 'node:child_process'
import { noteAct } from '../api/audited.ts'
import { supervisorEnvironment } from '../api/start-loop.ts'
import { loadConfig } from '../config.ts'
import { exitCodes } from '../errors.ts'
import { launcher } from '../paths.ts'
import { makeDebugDatabaseUrl, makeDebugSecrets } from '../runs/debug-secrets.ts'
import { readUsage } from '../runs/process-identity.ts'
import { redactionOf } from '../runs/redaction.ts'
import { readSecrets } from '../runs/secrets-file.ts'
import type { Redactor } from '../secrets/redactor.ts'
import { formatBytes } from '../texts/format.ts'
import { commandLine } from './audited.ts'
import { parseDuration } from './duration.ts'
import { withBackground } from './open.ts'
import { duration, note, printJson } from './print.ts'
import { taskNamed } from './task-named.ts'

export interface DebugOptions {
  timeout: string
  json?: boolean
}

/** One run, or one iteration of a loop, in a process of its own, with its output here and what it cost below. */
export const runDebug = async (given: string, { timeout, json = false }: DebugOptions): Promise<number> => {
  const timeoutMs = parseDuration('--timeout', timeout, { least: '1s', most: '24d' })
  const config = await loadConfig()
  const task = await withBackground(async background => {
    const found = await taskNamed(background, given, undefined)
    await noteAct(background.db, commandLine(), { act: 'debug-run', subject: String(found.id), detail: found.action })
    return found
  })
  const began = performance.now()
  const databaseUrl = makeDebugDatabaseUrl(config.runtime, config.databaseUrl)
  const secrets = makeDebugSecrets(config.runtime)
  const child = spawn(process.execPath, [launcher, task.action, String(task.id)], {
    env: {
      ...supervisorEnvironment(config, process.env, databaseUrl.path),
      ...Object.fromEntries(terminalVariables.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
      ...secrets.variables,
      BGTASK_MAX_ITERATIONS: '1',
      BGTASK_AUDITED: '1',
    },
    stdio: json ? ['ignore', 'pipe', 'pipe'] : 'inherit',
  })
  const output = json ? collect(child) : () => null
  const usage = watchUsage(child)
  const stop = stopAfter(child, timeoutMs, task.graceMs)
  const ignore = () => {} // Ctrl-C reaches the child as well, which ends as a stop would
  process.on('SIGINT', ignore)
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => resolve({ code, signal }))
  })
  process.off('SIGINT', ignore)
  const timedOut = stop()
  const figures = { exitCode: code, signal, timedOut, durationMs: Math.round(performance.now() - began), ...usage() }
  const shown = output(redactionOf(config).ofValues(task.params, readSecrets(secrets.path)))
  for (const file of [databaseUrl, secrets]) file.remove()
  if (json) printJson({ ...figures, output: shown })
  else note(told(figures))
  return code === 0 && !timedOut ? exitCodes.done : exitCodes.failed
}

interface Figures {
  exitCode: number | null
  signal: string | null
  timedOut: boolean
  durationMs: number
  peakMemoryBytes: number | null
  cpuMs: number | null
}

const told = ({ exitCode, signal, timedOut, durationMs, peakMemoryBytes, cpuMs }: Figures) =>
  [
    timedOut ? 'stopped at the time limit' : signal ? `ended by ${signal}` : `exit code ${exitCode}`,
    `took ${duration(durationMs)}`,
    ...(peakMemoryBytes === null ? [] : [`memory up to ${formatBytes('en', peakMemoryBytes)}`]),
    ...(cpuMs === null ? [] : [`CPU ${duration(cpuMs)}`]),
  ].join(', ')

/** By which programs find out what the terminal can do. */
const terminalVariables = ['TERM', 'COLORTERM', 'NO_COLOR', 'FORCE_COLOR', 'COLUMNS', 'LINES']

const outputLimitBytes = 1_000_000

const collect = (child: ChildProcess) => {
  const pieces: Buffer[] = []
  let bytes = 0
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (piece: Buffer) => {
      if (bytes < outputLimitBytes) pieces.push(piece)
      bytes += piece.length
    })
  }
  // Where it is cut a secret may have begun.
  return (redactor: Redactor) =>
    redactor.piece(Buffer.concat(pieces).subarray(0, outputLimitBytes), { ended: bytes <= outputLimitBytes }).bytes.toString()
}

// /proc forgets a process as soon as it ends, so the last look before that counts.
const watchUsage = (child: ChildProcess) => {
  let last: { peakMemoryBytes: number; cpuMs: number } | null = null
  const look = () => {
    const usage = child.pid === undefined ? null : readUsage(child.pid)
    if (usage && usage.peakMemoryBytes > 0) last = usage
  }
  const timer = setInterval(look, 25)
  return () => {
    clearInterval(timer)
    return last ?? { peakMemoryBytes: null, cpuMs: null }
  }
}

const stopAfter = (child: ChildProcess, timeoutMs: number, graceMs: number) => {
  let timedOut = false
  let killing: NodeJS.Timeout | undefined
  const asking = setTimeout(() => {
    timedOut = true
    child.kill('SIGTERM')
    killing = setTimeout(() => child.kill('SIGKILL'), graceMs)
  }, timeoutMs)
  return () => {
    clearTimeout(asking)
    clearTimeout(killing)
    return timedOut
  }
}
