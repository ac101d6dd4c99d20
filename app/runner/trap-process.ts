import type { EndFacts } from '../task/end-facts.ts'
import type { CurrentRun } from './current-run.ts'

/** What a run does about what happens to its process. */
export interface Traps {
  /** A signal asks the run to stop. */
  stopAsked(signal: NodeJS.Signals): void
  /**
   * An error that nobody caught, or a promise that can never be settled any more.
   * @param uncaught where it came from: a promise, or a callback; none for the latter
   */
  thrown(error: unknown, uncaught?: EndFacts['uncaught']): void
  /** The process is leaving. */
  left(exitCode: number): void
}

export const trapProcess = (run: CurrentRun, traps: Traps): void => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, traps.stopAsked)
  process.on('uncaughtException', error => traps.thrown(error, 'exception'))
  process.on('unhandledRejection', error => traps.thrown(error, 'rejection'))
  process.on('exit', traps.left)
  process.on('beforeExit', () => {
    if (run.stop.watched && !run.stop.asked) stayUntilStopped(run)
    else traps.thrown(new Error('execute never ended: it awaits something that nothing is left to settle.'))
  })
}

/** An action may do nothing but wait for its signal, and a signal alone keeps no process alive. */
const stayUntilStopped = (run: CurrentRun) => {
  const timer = setInterval(() => {}, 2 ** 31 - 1)
  run.stop.whenAsked(() => clearInterval(timer))
}
