import { loadConfig } from '../config.ts'
import { exitCodes } from '../errors.ts'
import { note } from './print.ts'
import { startAndWait } from './start.ts'
import { stopAndWait } from './stop.ts'

export const runRestart = async (options: { json?: boolean }): Promise<number> => {
  const config = await loadConfig()
  const { stopped, sentence } = await stopAndWait(config, { hold: false })
  note(sentence)
  return stopped ? startAndWait(config, options) : exitCodes.failed
}
