/**
 * Signals a process, or with a negative number its group. That it has ended already is no error.
 * @throws Error when it may not be signalled (EPERM)
 */
export const sendSignal = (target: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(target, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
