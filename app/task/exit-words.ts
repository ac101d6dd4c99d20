import type { Message } from './message.ts'
import { exitMisconfigured } from './outcome.ts'
import type { Run } from './run.ts'

const knownSignals = [
  'SIGKILL',
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGSEGV',
  'SIGBUS',
  'SIGABRT',
  'SIGTRAP',
  'SIGILL',
  'SIGFPE',
  'SIGPIPE',
] as const
type KnownSignal = (typeof knownSignals)[number]

export type ExitKey =
  | `exit.${'running' | 'unknown' | 'done' | 'failed' | 'misconfigured' | 'code' | 'notExecutable' | 'notFound' | 'bySignal' | 'signal'}`
  | `exit.signal.${KnownSignal}`

/** The exit code, or the signal, and what it mostly means. */
export const explainExitCode = ({ endedAt, exitCode, signal }: Pick<Run, 'endedAt' | 'exitCode' | 'signal'>): Message<ExitKey> => {
  if (endedAt === null) return say('exit.running')
  if (signal !== null) return isKnownSignal(signal) ? say(`exit.signal.${signal}`) : say('exit.signal', { signal })
  if (exitCode === null) return say('exit.unknown')
  const values = { exitCode: String(exitCode) }
  if (exitCode > 128 && exitCode < 128 + 65) return say('exit.bySignal', { ...values, number: String(exitCode - 128) })
  return say(codes[exitCode] ?? 'exit.code', values)
}

const say = (key: ExitKey, values: Message['values'] = {}): Message<ExitKey> => ({ key, values })

const isKnownSignal = (signal: string): signal is KnownSignal => (knownSignals as readonly string[]).includes(signal)

const codes: Record<number, ExitKey> = {
  0: 'exit.done',
  1: 'exit.failed',
  [exitMisconfigured]: 'exit.misconfigured',
  126: 'exit.notExecutable',
  127: 'exit.notFound',
}
