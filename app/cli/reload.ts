import { reloadLoop } from '../api/reload-loop.ts'
import { loadConfig } from '../config.ts'
import { exitCodes } from '../errors.ts'
import { actor } from './audited.ts'
import { note, print, printJson } from './print.ts'

export const runReload = async ({ json }: { json?: boolean }): Promise<number> => {
  const reload = await reloadLoop(await loadConfig(), { by: actor() })
  if (json) printJson(reload)
  else if (reload.asked) print(reload.sentence)
  else note(reload.sentence)
  return reload.asked ? exitCodes.done : exitCodes.failed
}
