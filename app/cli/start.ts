import { startAudited } from '../api/audited-loop.ts'
import { waitForLoop } from '../api/start-loop.ts'
import { exitCodes } from '../errors.ts'
import { commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { note, print, printJson } from './print.ts'

/** An operator who says start means it: a hold is released. */
export const runStart = async ({ json }: { json?: boolean }): Promise<number> => {
  const { config, start } = await withBackground(async background => ({
    config: background.config,
    start: await startAudited(background, commandLine(), { releaseHold: true }),
  }))
  if (start.state === 'running' || start.state === 'stopping') {
    if (json) printJson(start)
    else note(start.sentence)
    return exitCodes.busy
  }
  const supervisor = await waitForLoop(config)
  if (json) printJson({ ...start, pid: supervisor.pid, epoch: supervisor.epoch })
  else print(`The supervisor runs (process ${supervisor.pid}).`)
  return exitCodes.done
}
