import { reloadAudited } from '../api/audited-loop.ts'
import { exitCodes } from '../errors.ts'
import { commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { note, print, printJson } from './print.ts'

export const runReload = async ({ json }: { json?: boolean }): Promise<number> => {
  const reload = await withBackground(background => reloadAudited(background, commandLine()))
  if (json) printJson(reload)
  else if (reload.asked) print(reload.sentence)
  else note(reload.sentence)
  return reload.asked ? exitCodes.done : exitCodes.failed
}
