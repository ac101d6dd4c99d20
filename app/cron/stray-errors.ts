/**
 * Errors that nobody caught (of a timer, say, that a hook has left behind) would end the process; in a cron run they are told to `stray` instead, who
 * knows which hook or queue it is at.
 * @returns undoes it
 */
export const catchStrayErrors = (stray: (error: unknown) => void): (() => void) => {
  const events = ['uncaughtException', 'unhandledRejection'] as const
  const before = events.map(event => [event, process.listeners(event as 'uncaughtException')] as const)
  for (const event of events) {
    process.removeAllListeners(event)
    process.on(event, stray)
  }
  return () => {
    for (const [event, listeners] of before) {
      process.off(event, stray)
      for (const listener of listeners) process.on(event, listener)
    }
  }
}
