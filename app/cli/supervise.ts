import { loadConfig } from '../config.ts'
import { openLog } from '../log.ts'
import { redactionOf } from '../runs/redaction.ts'

/** Goes on until it is asked to stop. */
export const runSupervise = async (): Promise<number> => {
  const config = await loadConfig()
  const { supervise } = await import('../supervisor/supervise.ts')
  return supervise(config, openLog('supervisor', process.env, redactionOf(config).text))
}
