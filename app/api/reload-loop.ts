import type { Config } from '../config.ts'
import { askReload } from '../runs/flags.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'

/**
 * Asks the supervisor to replace its running loops one after the other by fresh code; itself it stays.
 * @returns asked: false when none runs
 */
export const reloadLoop = async (
  config: Pick<Config, 'runtime'>,
  { by }: { by: string },
): Promise<{ asked: boolean; sentence: string }> => {
  const supervisor = readSupervisor(config.runtime)
  if (!supervisor)
    return { asked: false, sentence: 'The supervisor does not run, so there is nothing to reload; its next start takes fresh code.' }
  askReload(config.runtime, { epoch: supervisor.epoch, by, at: Date.now() })
  return {
    asked: true,
    sentence: `The supervisor (process ${supervisor.pid}) is asked to replace its running loops by fresh code, one after the other.`,
  }
}
