import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, fstatSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BgtaskError, messageOf } from '../errors.ts'
import { type Bounds, commandWithin } from '../runs/bounds.ts'
import { giveOutput } from '../runs/handed-files.ts'
import { markVariable } from '../runs/process-identity.ts'
import { findRunUser } from '../runs/run-user.ts'
import type { Command } from './command.ts'

/** How the program of a command ended. */
export interface CommandEnd {
  exitCode: number | null
  signal: string | null
  /** `limit`: it took too long, `output`: it printed too much, and was ended here for that; `self`: whatever else ended it. */
  why: 'self' | 'limit' | 'output'
}

/** Where a supervisor watches the time too, and has a word of its own for it: it goes first. */
const slackMs = 3_000
/** A stop reaches the program and us at the same time; who was told to stop must not pass for one that failed. */
const stopHeardMs = 1_000
const lookEveryMs = 100

/**
 * Starts the program of a command within the process group of this run, its output straight into ours, and waits for its end. No shell has a part
 * in it.
 * @param argv as argvOf() made it
 * @param options.signal aborts when the run is asked to stop
 * @param options.supervised a supervisor signals the whole group, and ends what is left of it
 * @throws BgtaskError `misconfigured` when it cannot be started
 */
export const runCommand = async (
  command: Command,
  argv: readonly string[],
  { signal, supervised }: { signal: AbortSignal; supervised: boolean },
): Promise<CommandEnd> => {
  const bounds = await boundsOf(command)
  const user = bounds?.user ?? null
  if (user && supervised && fstatSync(1).isFile()) giveOutput(1, user)
  const child = await start(command, bounds ? commandWithin(bounds, argv) : argv, user?.home ?? process.env.HOME)
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  let why: CommandEnd['why'] = 'self'
  let force: NodeJS.Timeout | undefined
  const end = (reason: CommandEnd['why']) => {
    if (force) return
    why = reason
    child.kill('SIGTERM')
    force = setTimeout(() => child.kill('SIGKILL'), command.graceMs)
  }
  const limit = setTimeout(() => end('limit'), command.timeoutMs + (supervised ? slackMs : 0))
  const look = watchOutput(command.outputBytes, () => end('output'))
  // By hand nobody else tells it.
  const stop = () => (supervised ? undefined : end('self'))
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const [exitCode, endedBy] = await exit
  for (const timer of [limit, force, look]) clearTimeout(timer)
  signal.removeEventListener('abort', stop)
  if (supervised && !signal.aborted && why === 'self' && (endedBy === 'SIGTERM' || exitCode === 143)) await heard(signal)
  return { exitCode, signal: endedBy, why }
}

const start = async (command: Command, [program, ...given]: readonly string[], home: string | undefined): Promise<ChildProcess> => {
  const child = spawn(isPath(program!) ? program! : whereIs(program!), given, {
    cwd: command.cwd,
    env: environmentOf(command, home),
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (child.pid !== undefined) return child
  const [error] = (await once(child, 'error')) as [Error]
  throw new BgtaskError('misconfigured', `The command ${command.name} cannot be started: ${messageOf(error)}.`, { cause: error })
}

/** All of it: what the file says, and what programs need to find their way. Nothing of ours but the mark by which what it starts is found again. */
const environmentOf = ({ env }: Command, home: string | undefined): NodeJS.ProcessEnv => {
  const { LANG, TZ, [markVariable]: mark } = process.env
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...(home === undefined ? {} : { HOME: home }),
    ...(LANG === undefined ? {} : { LANG }),
    ...(TZ === undefined ? {} : { TZ }),
    ...env,
    ...(mark === undefined ? {} : { [markVariable]: mark }),
  }
}

/** As another user, without rights and ways to get them; null: as ourselves. */
const boundsOf = async ({ name, runAs }: Command): Promise<Bounds | null> => {
  if (runAs === null) return null
  const cannot = (why: string) => new BgtaskError('misconfigured', `The command ${name} asks to run as ${runAs}: ${why}.`)
  const user = await findRunUser(runAs)
  const ownUid = process.getuid?.() ?? -1
  if (user === null) throw cannot('there is no such user on this machine')
  if (user.uid === ownUid && ownUid !== 0) return null
  if (user.uid === 0) throw cannot('root is the user that it shall not be')
  if (ownUid !== 0) throw cannot('only root can start it as another user, and this is not root')
  return { user, noNewPrivileges: true, leaves: [], dataBytes: null, userProcesses: null, database: false }
}

/** In our own PATH: that of the command may lead elsewhere. */
const whereIs = (program: string): string => {
  const folder = (process.env.PATH ?? '').split(':').find(one => isPath(one) && existsSync(join(one, program)))
  if (folder !== undefined) return join(folder, program)
  throw new BgtaskError('misconfigured', `${program} is not there; util-linux carries it.`)
}

const isPath = (text: string) => text.startsWith('/')

/** Of a supervised run the output is a file, which the supervisor cuts now and then. */
const watchOutput = (most: number | null, beyond: () => void): NodeJS.Timeout | undefined => {
  if (most === null || !fstatSync(1).isFile()) return undefined
  let last = fstatSync(1).size
  let printed = 0
  return setInterval(() => {
    const { size } = fstatSync(1)
    printed += size >= last ? size - last : size
    last = size
    if (printed > most) beyond()
  }, lookEveryMs)
}

const heard = async (signal: AbortSignal): Promise<void> => {
  const waiting = new AbortController()
  await Promise.race([once(signal, 'abort', { signal: waiting.signal }), delay(stopHeardMs, null, { signal: waiting.signal })]).finally(
    () => waiting.abort(),
  )
}
