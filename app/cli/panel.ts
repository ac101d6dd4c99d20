import { loadConfig } from '../config.ts'
import { exitCodes } from '../errors.ts'
import { readFirstRun } from '../web/first-link.ts'
import { reloadPanel, startPanel, stopPanel } from '../web/panel-process.ts'
import { note, print } from './print.ts'
import { runReload } from './reload.ts'
import { runStart } from './start.ts'
import { runStop } from './stop.ts'

/** The panel, then the loop, also where BGTASK_AUTOSTART is off: start means it. */
export const runPanelStart = async (): Promise<number> => {
  // Before the configuration takes the administrator's password out of it, which is for the panel.
  const env = { ...process.env }
  const config = await loadConfig()
  const { started, panel } = await startPanel(config, env)
  if (started) print(`bgtask is at ${panel.address} (process ${panel.pid}).`)
  else note(`The panel runs already (process ${panel.pid}, ${panel.address}).`)
  const link = started ? readFirstRun(config.runtime) : null
  if (link) print(`First administrator, once and within 15 minutes: ${link}`)
  const loop = await runStart({})
  // The panel may have been quicker and started the loop itself.
  return started && loop === exitCodes.busy ? exitCodes.done : loop
}

/** The panel first: a visit would start the loop again. */
export const runPanelStop = async (): Promise<number> => {
  const ended = await stopPanel(await loadConfig())
  print(ended > 0 ? 'The panel has ended.' : 'No panel runs in the background here.')
  return runStop({})
}

/** The panel first: when it cannot start with the new code, the loops keep the old one, too. */
export const runPanelReload = async (): Promise<number> => {
  const panel = await reloadPanel(await loadConfig())
  if (panel) print(`The panel has reloaded (process ${panel.pid}).`)
  else note('No panel runs in the background here; one in a terminal or under systemd is restarted there.')
  const loop = await runReload({})
  return panel ? loop : exitCodes.failed
}
