import { exitCodes } from '../errors.ts'
import { note } from './print.ts'
import { runStart } from './start.ts'
import { stopAndWait } from './stop.ts'

export const runRestart = async (options: { json?: boolean }): Promise<number> => {
  const { stopped, sentence } = await stopAndWait({ hold: false })
  note(sentence)
  return stopped ? runStart(options) : exitCodes.failed
}
