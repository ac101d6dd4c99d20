import type { CurrentRun } from './current-run.ts'

/** What a run does about what happens to its process. */
export interface Traps {
  /** A signal asks the run to stop. */
  stopAsked(signal: NodeJS.Signals): void
  /** An error that nobody caught, or a promise that can never be settled any more. */
  thrown(error: unknown): void
  /** The process is leaving. */
  left(exitCode: number): void
}

export const trapProcess = (run: CurrentRun, traps: Traps): void => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, traps.stopAsked)
  process.on('uncaughtException', traps.thrown)
  process.on('unhandledRejection', traps.thrown)
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
