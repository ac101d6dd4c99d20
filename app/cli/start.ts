import { startLoop, waitForLoop } from '../api/start-loop.ts'
import { type Config, loadConfig } from '../config.ts'
import { exitCodes } from '../errors.ts'
import { actor } from './audited.ts'
import { note, print, printJson } from './print.ts'

export const runStart = async (options: { json?: boolean }): Promise<number> => startAndWait(await loadConfig(), options)

/** An operator who says start means it: a hold is released. */
export const startAndWait = async (config: Config, { json }: { json?: boolean }): Promise<number> => {
  const start = await startLoop(config, { by: actor(), releaseHold: true })
  if (start.state === 'running' || start.state === 'stopping') {
    if (json) printJson(start)
    else note(start.sentence)
    return exitCodes.busy
  }
  const supervisor = await waitForLoop(config)
  if (json) printJson({ ...start, pid: supervisor.pid, epoch: supervisor.epoch })
  else print(`The loop runs (process ${supervisor.pid}).`)
  return exitCodes.done
}
