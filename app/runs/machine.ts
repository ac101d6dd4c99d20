import { execFile } from 'node:child_process'
import { messageOf } from '../errors.ts'
import { type Sentence, told } from '../task/told.ts'
import { type LeafPlace, tryLeafPlaces } from './cgroups.ts'

/** What this machine, and this user on it, can do to keep a run within limits. Each was tried, not guessed. */
export interface Machine {
  /** null: it works; else why not. */
  runAs: Sentence | null
  noNewPrivileges: Sentence | null
  /** prlimit(1), for the bounds that the kernel keeps for a single process or user. */
  prlimit: Sentence | null
  places: LeafPlace[]
  /** About the cgroups that were named and do not work. */
  troubles: string[]
}

/** @param cgroups the folders named by BGTASK_CGROUPS */
export const lookAtMachine = async (cgroups: readonly string[]): Promise<Machine> => {
  const [{ runAs, noNewPrivileges }, prlimit] = await Promise.all([lookAtPrivileges(), whyNot('prlimit', [`--data=${2 ** 30}`, 'true'])])
  return { runAs, noNewPrivileges, prlimit, ...tryLeafPlaces(cgroups) }
}

let seen: { at: number; cgroups: string; machine: Promise<Machine> } | undefined
/** What a machine can do changes with its packages; whoever has just installed one may look again. */
const seenForMs = 10_000

/** The same, up to ten seconds old, for who asks again and again: each program that is tried costs the one who starts it some milliseconds. */
export const lookAtMachineLately = (folders: readonly string[], now = performance.now()): Promise<Machine> => {
  const cgroups = folders.join('\n')
  if (!seen || seen.cgroups !== cgroups || now - seen.at > seenForMs) seen = { at: now, cgroups, machine: lookAtMachine(folders) }
  return seen.machine
}

const lookAtPrivileges = async (): Promise<Pick<Machine, 'runAs' | 'noNewPrivileges'>> => {
  const runAs =
    process.getuid?.() === 0
      ? await whyNot('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', ...withoutRights, 'true'])
      : told`only root can start a process as another user, and this is not root`
  // A process as another user has been without new privileges as well.
  return { runAs, noNewPrivileges: runAs === null ? null : await whyNot('setpriv', ['--no-new-privs', 'true']) }
}

/** What setpriv(1) takes from a process that is another user's: it can never get back what it has lost. */
export const withoutRights = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all']

let reserve: Promise<number> | undefined

/**
 * Bytes that RLIMIT_DATA counts for a Node that has not done anything yet, and that it does not use: address space kept for code, stacks of its
 * threads. A limit has to lie so much higher, to bound what is used. Measured once.
 */
export const nodeReserveBytes = (): Promise<number> => {
  reserve ??= measureReserve()
  reserve.catch(() => (reserve = undefined))
  return reserve
}

const measureReserve = async (): Promise<number> => {
  const status = await run(process.execPath, ['-p', 'process.getBuiltinModule("node:fs").readFileSync("/proc/self/status", "utf8")'])
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  const bytes = (kilobytes('VmData') - kilobytes('RssAnon')) * 1024
  if (Number.isSafeInteger(bytes)) return Math.max(0, bytes)
  throw new Error('/proc/self/status names no VmData and RssAnon')
}

const whyNot = async (program: string, given: string[]): Promise<Sentence | null> => {
  try {
    await run(program, given)
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? told`${program} is not there; util-linux carries it` : messageOf(error)
  }
}

const run = (program: string, given: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(program, given, { env: { PATH: process.env.PATH }, timeout: 5_000, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (!error) resolve(stdout)
      else if (error.code === 'ENOENT' || !stderr.trim()) reject(error)
      else reject(new Error(stderr.trim().split('\n')[0]))
    })
  })
