import { stopAudited } from '../api/audited-loop.ts'
import type { Background } from '../api/background.ts'
import { type LoopStop, longestGraceMs, waitForStop } from '../api/stop-loop.ts'
import { type Config, loadConfig } from '../config.ts'
import { BgtaskError, exitCodes, messageOf } from '../errors.ts'
import { readSupervisor, type SupervisorInfo } from '../runs/supervisor-file.ts'
import { commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { duration, note, print, printJson } from './print.ts'

export const runStop = async ({ hold = false, json }: { hold?: boolean; json?: boolean }): Promise<number> => {
  const { stopped, sentence } = await stopAndWait({ hold })
  if (json) printJson({ stopped, hold, sentence })
  else if (stopped) print(sentence)
  else note(sentence)
  return stopped ? exitCodes.done : exitCodes.failed
}

/** Waits as long as the longest grace of a run that goes on, and 15 s more. */
export const stopAndWait = async ({ hold }: { hold: boolean }): Promise<{ stopped: boolean; sentence: string }> => {
  const config = await loadConfig()
  const { stop, timeoutMs } = await askToStop(config, hold)
  if (!stop.supervisor) return { stopped: true, sentence: stop.sentence }
  const progress = progressLine()
  const gone = await waitForStop(config, stop.supervisor, { timeoutMs, onWait: progress.tell })
  progress.end()
  const kept = hold ? ' It stays down until start releases the hold.' : ''
  if (gone) return { stopped: true, sentence: `The supervisor has ended.${kept}` }
  const { pid } = stop.supervisor
  return {
    stopped: false,
    sentence: `The supervisor (process ${pid}) has not ended within ${duration(timeoutMs)}. See runtime/bgtask.log; kill -9 ${pid} ends it, and the next start takes over its runs.`,
  }
}

const askToStop = async (config: Config, hold: boolean): Promise<{ stop: LoopStop; timeoutMs: number }> => {
  try {
    return await withBackground(async background => {
      const stop = await stopAudited(background, commandLine(), { hold })
      return { stop, timeoutMs: stop.supervisor ? (await graceMs(background)) + 15_000 : 0 }
    })
  } catch (error) {
    const supervisor = readSupervisor(config.runtime)
    if (!(error instanceof BgtaskError) || supervisor === null) throw error
    throw new BgtaskError(
      error.code,
      `${error.message} Nothing is stopped that the audit cannot tell of. In an emergency: kill ${supervisor.pid} ends the supervisor in order.`,
      { cause: error.cause ?? error },
    )
  }
}

const unknownGraceMs = 60_000

const graceMs = async ({ config, db }: Background): Promise<number> => {
  try {
    return await longestGraceMs(config, db)
  } catch (error) {
    note(
      `The database cannot be asked how long the runs may take to stop (${messageOf(error)}); waiting up to ${duration(unknownGraceMs + 15_000)}.`,
    )
    return unknownGraceMs
  }
}

// One line that is written over on a terminal; elsewhere a line every ten seconds.
const progressLine = () => {
  let told = 0
  return {
    tell: (now: SupervisorInfo, waitedMs: number) => {
      const text = `Waiting for the supervisor to end: ${now.running + now.loops} runs, ${Math.floor(waitedMs / 1000)} s`
      if (process.stderr.isTTY) {
        if (waitedMs > 500) process.stderr.write(`\r\u001b[K${text}`)
      } else if (waitedMs > told + 10_000) {
        told = waitedMs
        note(text)
      }
    },
    end: () => {
      if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
    },
  }
}
