import type { Config } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { readHold } from '../runs/flags.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import type { Db } from '../store/database.ts'
import type { Actor } from './audited.ts'
import { startAudited, stopAudited } from './audited-loop.ts'
import type { LoopStart } from './start-loop.ts'
import { longestGraceMs, waitForStop } from './stop-loop.ts'

/** Beyond the longest grace of its runs, a supervisor needs no longer to leave. */
const leaveMs = 15_000

/**
 * Stops the loop on this host, waits for its end, and starts a fresh one; starts it, when it does not run.
 * @throws BgtaskError `busy` while somebody holds it; `failed` when it does not end within the longest grace of its runs and 15 s
 */
export const restartLoop = async (tools: { config: Config; db: Db }, actor: Actor): Promise<LoopStart> => {
  const { config, db } = tools
  const held = readHold(config.runtime)
  if (held) throw new BgtaskError('busy', `The supervisor is on hold by ${held.by}; it stays down until that hold is released (start).`)
  const supervisor = readSupervisor(config.runtime)
  if (supervisor) {
    const timeoutMs = (await longestGraceMs(config, db)) + leaveMs
    await stopAudited(tools, actor)
    if (!(await waitForStop(config, supervisor, { timeoutMs }))) {
      const seconds = Math.round(timeoutMs / 1000)
      throw new BgtaskError(
        'failed',
        `The supervisor (process ${supervisor.pid}) has not ended within ${seconds} s, so no other one was started.`,
      )
    }
  }
  return startAudited(tools, actor)
}
