import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { BgtaskError, type ErrorCode, exitCodes } from '../errors.ts'
import { launcher, workRoot } from '../paths.ts'
import { takeLock } from '../runs/locks.ts'
import { openLog } from '../runs/open-log.ts'
import { type PanelInfo, panelProcesses, readPanel, removePanel } from '../runs/panel-file.ts'
import { isAlive, type ProcessIdentity } from '../runs/process-identity.ts'
import { readBytes, sizeOf } from '../runs/read-output.ts'
import { prepareRuntimeFolder, runtimePaths } from '../runs/runtime-folder.ts'
import { sendSignal } from '../runs/send-signal.ts'
import { startMs } from './hand-over.ts'
import { reachableHost } from './panel-address.ts'

type Where = Pick<Config, 'runtime'>

/** Has the audit told of an act, and then does it. Not called when there is nothing to do. */
export type Tell = <Result>(act: 'panel-started' | 'panel-stopped' | 'panel-reloaded', work: () => Promise<Result>) => Promise<Result>

/**
 * Starts the panel in the background and waits until it answers.
 * @param env its environment
 * @returns started: false when it runs already
 * @throws BgtaskError with the log's last lines when it does not come up; `busy` while somebody else starts, stops or reloads it
 */
export const startPanel = ({ runtime }: Where, env: NodeJS.ProcessEnv, tell: Tell): Promise<{ started: boolean; panel: PanelInfo }> =>
  alone(runtime, async () => {
    const running = readPanel(runtime)
    if (running) return { started: false, panel: running }
    return { started: true, panel: await tell('panel-started', () => start(runtime, env)) }
  })

/**
 * Ends the panel in the background, and those that are leaving after a reload. Whatever hangs, they are gone within three seconds.
 * @returns how many there were
 * @throws BgtaskError `failed` when one does not end; `busy` as startPanel
 */
export const stopPanel = ({ runtime }: Where, tell: Tell): Promise<number> =>
  alone(runtime, async () => {
    const all = panelProcesses(runtime)
    if (all.length > 0) await tell('panel-stopped', () => stop(runtime, all))
    return all.length
  })

/**
 * Has the panel in the background replaced by a new process with fresh code; no request is refused meanwhile.
 * @returns the new one, null when none runs in the background
 * @throws BgtaskError `failed` with what the new one said when it did not start (the old one goes on then); `busy` as startPanel
 */
export const reloadPanel = ({ runtime }: Where, tell: Tell): Promise<PanelInfo | null> =>
  alone(runtime, async () => {
    const before = readPanel(runtime)
    return before ? tell('panel-reloaded', () => reload(runtime, before)) : null
  })

const start = async (runtime: string, env: NodeJS.ProcessEnv): Promise<PanelInfo> => {
  const { panelLog } = runtimePaths(runtime)
  const log = openLog(panelLog)
  const from = sizeOf(panelLog)
  const child = spawn(process.execPath, [...process.execArgv, launcher, 'serve', '--in-background'], {
    cwd: workRoot,
    env,
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  child.unref()
  return untilUp(runtime, child, from)
}

const stop = async (runtime: string, all: readonly ProcessIdentity[]) => {
  for (const one of all) if (isAlive(one)) sendSignal(one.pid, 'SIGTERM')
  const deadline = performance.now() + stopMs
  while (all.some(isAlive)) {
    const left = all.filter(isAlive).map(({ pid }) => pid)
    if (performance.now() > deadline)
      throw new BgtaskError('failed', `The panel (process ${left.join(', ')}) has not ended within ${stopMs / 1000} s; kill -9 ends it.`)
    await wait(lookEveryMs)
  }
  for (const { pid } of all) removePanel(runtime, pid)
}

const reload = async (runtime: string, before: PanelInfo): Promise<PanelInfo> => {
  const from = sizeOf(runtimePaths(runtime).panelLog)
  sendSignal(before.pid, 'SIGHUP')
  const deadline = performance.now() + startMs + stopMs
  for (;;) {
    const now = readPanel(runtime)
    if (now && now.pid !== before.pid && (await answers(now))) return now
    if (now?.pid === before.pid && now.failedReload !== null && now.failedReload.at !== before.failedReload?.at)
      throw new BgtaskError('failed', `The panel did not reload and goes on as it was (process ${now.pid}).${said(runtime, from)}`)
    if (!now && !isAlive(before)) throw new BgtaskError('failed', `The panel ended while it was to reload.${said(runtime, from)}`)
    if (performance.now() > deadline) throw new BgtaskError('failed', `The panel does not say that it has reloaded.${said(runtime, from)}`)
    await wait(lookEveryMs)
  }
}

const untilUp = async (runtime: string, child: ChildProcess, from: number): Promise<PanelInfo> => {
  const deadline = performance.now() + startMs
  let failure: Error | undefined
  child.once('error', error => {
    failure = error
  })
  for (;;) {
    const panel = readPanel(runtime)
    if (panel && (await answers(panel))) return panel
    if (failure) throw new BgtaskError('failed', `The panel cannot be started: ${failure.message}.`, { cause: failure })
    if (child.exitCode !== null || child.signalCode !== null)
      throw new BgtaskError(
        codeOf(child.exitCode),
        `The panel did not start (${child.signalCode ?? `exit code ${child.exitCode}`}).${said(runtime, from)}`,
      )
    if (performance.now() > deadline)
      throw new BgtaskError(
        'failed',
        `The panel (process ${child.pid}) does not answer after ${startMs / 1000} s; it is left as it is.${said(runtime, from)}`,
      )
    await wait(lookEveryMs)
  }
}

/** Whatever it answers, it is there: how the database fares is told by the page. */
const answers = async ({ host, port }: PanelInfo): Promise<boolean> => {
  try {
    const answer = await fetch(`http://${reachableHost(host)}:${port}/healthz`, {
      signal: AbortSignal.timeout(answerMs),
      redirect: 'manual',
    })
    await answer.arrayBuffer()
    return true
  } catch {
    // Asked again until the time is over, which is told then.
    return false
  }
}

const alone = async <Result>(runtime: string, work: () => Promise<Result>): Promise<Result> => {
  prepareRuntimeFolder(runtime)
  const lock = await takeLock(runtimePaths(runtime).panelLock)
  if (!lock) throw new BgtaskError('busy', 'Somebody else is just starting, stopping or reloading the panel. Try again when that is done.')
  try {
    return await work()
  } finally {
    lock.close()
  }
}

const codeOf = (exitCode: number | null): ErrorCode =>
  exitCode === exitCodes.misconfigured ? 'misconfigured' : exitCode === exitCodes.busy ? 'busy' : 'failed'

/** What the log got since then: its last lines. */
const said = (runtime: string, from: number): string => {
  const { panelLog } = runtimePaths(runtime)
  const size = sizeOf(panelLog)
  const start = Math.max(from, size - shownBytes)
  const lines = readBytes(panelLog, start, size - start)
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .slice(-shownLines)
  return ` ${panelLog}${lines.join('').trim() === '' ? ' has nothing on it.' : ` says:\n${lines.join('\n')}`}`
}

const lookEveryMs = 50
const stopMs = 10_000
const answerMs = 5_000
const shownBytes = 8_192
const shownLines = 12
