import { setTimeout as delay } from 'node:timers/promises'
import { commandOf, findMarked, isAlive, type ProcessIdentity } from '../runs/process-identity.ts'

/** Signals the process group of a run, if its leader is still the process we know: never a stranger with its pid. */
export const signalGroup = (leader: ProcessIdentity, signal: NodeJS.Signals): void => {
  if (isAlive(leader)) send(-leader.pid, signal)
}

/** SIGKILL to the group of which this process is a member, or to it alone when it leads none. */
export const endGroup = (member: ProcessIdentity): void => {
  if (!isAlive(member)) return
  send(-member.pid, 'SIGKILL')
  send(member.pid, 'SIGKILL')
}

let asked = new Map<string, ((killed: ProcessIdentity[]) => void)[]>()

/**
 * Sends SIGKILL to every process that bears the mark, whichever group or session it has moved to. Reading every process's
 * environment takes a while, so those that are asked for together (all loops, at a stop) share one look.
 * @returns those it was sent to
 */
export const sweep = (mark: string): Promise<ProcessIdentity[]> =>
  new Promise(resolve => {
    if (asked.size === 0) setTimeout(sweepAsked, gatherMs)
    asked.set(mark, [...(asked.get(mark) ?? []), resolve])
  })

const gatherMs = 20

const sweepAsked = () => {
  const answering = asked
  asked = new Map()
  const found = findMarked(mark => answering.has(mark))
  for (const { identity } of found) endGroup(identity)
  for (const [mark, resolves] of answering) {
    const killed = found.filter(one => one.mark === mark).map(one => one.identity)
    for (const resolve of resolves) resolve(killed)
  }
}

/** Waits until all of them are gone, at most `withinMs`. @returns those that resisted, with their command lines */
export const whatResists = async (killed: readonly ProcessIdentity[], withinMs: number): Promise<{ pid: number; command: string }[]> => {
  const until = performance.now() + withinMs
  let alive = killed.filter(isAlive)
  while (alive.length && performance.now() < until) {
    await delay(20)
    alive = alive.filter(isAlive)
  }
  return alive.map(({ pid }) => ({ pid, command: commandOf(pid) }))
}

const send = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // ESRCH: it ended meanwhile, which is what we want. EPERM: another user's; the page will show it as a survivor.
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}
