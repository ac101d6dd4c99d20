import { setTimeout as wait } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { askStop, hold as putOnHold, readFlag } from '../runs/flags.ts'
import { hostId } from '../runs/host-id.ts'
import { isAlive } from '../runs/process-identity.ts'
import { prepareRuntimeFolder, runtimePaths } from '../runs/runtime-folder.ts'
import { readSupervisor, type SupervisorInfo } from '../runs/supervisor-file.ts'
import type { Db } from '../store/database.ts'
import { listRunning } from '../store/list-running.ts'
import { taskDefaults } from '../task/task.ts'
import { noteUp } from './start-loop.ts'

export interface LoopStop {
  /** Whether a running supervisor was asked to stop. */
  asked: boolean
  /** The one that was asked. */
  supervisor: SupervisorInfo | null
  sentence: string
}

/**
 * Asks the supervisor on this host to stop; it ends loops after their current iteration and lets ONCE runs finish within grace.
 * The flag names the life it is meant for, so it cannot stop the next one. Returns at once: `waitForStop` waits.
 * @param hold it then stays stopped until somebody releases the hold, also when /admin is visited
 * @throws BgtaskError `misconfigured` when the runtime folder cannot be written
 */
export const stopLoop = async (config: Config, { by, hold = false }: { by: string; hold?: boolean }): Promise<LoopStop> => {
  prepareRuntimeFolder(config.runtime)
  const at = Date.now()
  if (hold) putOnHold(config.runtime, by, at)
  const supervisor = readSupervisor(config.runtime)
  const held = hold ? ' It stays down until the hold is released (start).' : ''
  if (!supervisor) return { asked: false, supervisor, sentence: `The supervisor does not run.${held}` }
  noteUp(config.runtime, supervisor)
  askStop(config.runtime, { epoch: supervisor.epoch, by, at })
  return { asked: true, supervisor, sentence: `The supervisor (process ${supervisor.pid}) is asked to stop.${held}` }
}

/** What a stop without hold would find already so; null when it would ask a supervisor to stop. */
export const whyNotStop = ({ runtime }: Pick<Config, 'runtime'>): LoopStop | null => {
  const supervisor = readSupervisor(runtime)
  if (!supervisor) return { asked: false, supervisor, sentence: 'The supervisor does not run.' }
  const flag = readFlag(runtimePaths(runtime).stop)
  if (supervisor.phase !== 'stopping' && flag?.epoch !== supervisor.epoch) return null
  return { asked: false, supervisor, sentence: `The supervisor (process ${supervisor.pid}) is stopping already.` }
}

/**
 * Waits for the end of its process, and so for its lock, since whoever starts the next one may not find that taken.
 * @returns whether that supervisor is gone; false when time is over
 */
export const waitForStop = async (
  config: Pick<Config, 'runtime'>,
  asked: SupervisorInfo,
  { timeoutMs, onWait }: { timeoutMs: number; onWait?: (now: SupervisorInfo, waitedMs: number) => void },
): Promise<boolean> => {
  const began = performance.now()
  while (isAlive(asked)) {
    const waitedMs = performance.now() - began
    if (waitedMs > timeoutMs) return false
    onWait?.(readSupervisor(config.runtime) ?? asked, waitedMs)
    await wait(50)
  }
  return true
}

/** The longest grace among the runs of this host, in milliseconds: how long a stop may take. */
export const longestGraceMs = async (config: Pick<Config, 'runtime'>, db: Db): Promise<number> => {
  const running = await listRunning(db, hostId(config.runtime))
  return Math.max(taskDefaults.graceMs, ...running.map(task => task.graceMs))
}
