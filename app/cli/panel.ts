import { hostname } from 'node:os'
import { audited } from '../api/audited.ts'
import { type Config, loadConfig } from '../config.ts'
import { BgtaskError, exitCodes } from '../errors.ts'
import { readPanel } from '../runs/panel-file.ts'
import { makeFirstLink, readFirstRun } from '../web/first-link.ts'
import { reloadPanel, startPanel, stopPanel, type Tell } from '../web/panel-process.ts'
import { commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { note, print } from './print.ts'
import { runReload } from './reload.ts'
import { runStart } from './start.ts'
import { runStop } from './stop.ts'

/*
 * Each act is told by the audit before it is done, as those on the loop are: without its database nothing is done.
 */

/** The panel, then the loop, also where BGTASK_AUTOSTART is off: start means it. */
export const runPanelStart = async (): Promise<number> => {
  // Before the configuration takes the administrator's password out of it, which is for the panel.
  const env = { ...process.env }
  const config = await loadConfig()
  const { started, panel } = await startPanel(config, env, tell)
  if (started) print(`bgtask is at ${panel.address} (process ${panel.pid}).`)
  else note(`The panel runs already (process ${panel.pid}, ${panel.address}).`)
  const link = readFirstRun(config.runtime) ?? (started ? null : await newFirstLink(panel.address))
  if (link) print(`First administrator, once and within 15 minutes: ${link}`)
  const loop = await runStart({})
  // The panel may have been quicker and started the loop itself.
  return started && loop === exitCodes.busy ? exitCodes.done : loop
}

/** Nobody has used the one that the panel told of when it began, and it is over. @returns null when there is a user */
const newFirstLink = async (address: string): Promise<string | null> => {
  const path = await withBackground(({ db }) => makeFirstLink(db))
  return path && `${address}${path}`
}

/** The panel first: a visit would start the loop again. */
export const runPanelStop = async (): Promise<number> => {
  const config = await loadConfig()
  const ended = await stopPanel(config, orSayHowToEnd(config))
  print(ended > 0 ? 'The panel has ended.' : 'No panel runs in the background here.')
  return runStop({})
}

/** The panel first: when it cannot start with the new code, the loops keep the old one, too. */
export const runPanelReload = async (): Promise<number> => {
  const panel = await reloadPanel(await loadConfig(), tell)
  if (panel) print(`The panel has reloaded (process ${panel.pid}).`)
  else note('No panel runs in the background here; one in a terminal or under systemd is restarted there.')
  const loop = await runReload({})
  return panel ? loop : exitCodes.failed
}

const tell: Tell = (act, work) =>
  withBackground(({ db }) => audited(db, commandLine(), { act, subject: 'panel', detail: hostname() }, work))

const orSayHowToEnd =
  ({ runtime }: Pick<Config, 'runtime'>): Tell =>
  async (act, work) => {
    let isTold = false
    try {
      return await tell(act, () => {
        isTold = true
        return work()
      })
    } catch (error) {
      const panel = readPanel(runtime)
      if (isTold || !(error instanceof BgtaskError) || panel === null) throw error
      throw new BgtaskError(
        error.code,
        `${error.message} Nothing is stopped that the audit cannot tell of. In an emergency: kill ${panel.pid} ends the panel in order.`,
        { cause: error.cause ?? error },
      )
    }
  }
