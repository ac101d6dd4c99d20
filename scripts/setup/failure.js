/** A set-up that cannot go on: what is wrong, and what to do about it. Ends the program with exit code 78, without a stack. */
export class Failure extends Error {
  /**
   * @param {string} problem
   * @param {string} advice
   * @param {string} [details] what a program that we ran said, shown before the sentence
   */
  constructor(problem, advice, details = '') {
    super(`${problem} ${advice}`)
    this.name = 'Failure'
    this.details = details
  }
}

/** A signal asked the set-up to end, and its children have ended. */
export class Interrupted extends Error {
  /** @param {NodeJS.Signals} signal */
  constructor(signal) {
    super(`interrupted by ${signal}`)
    this.name = 'Interrupted'
    this.signal = signal
  }
}

/**
 * Runs a whole script: a Failure is said in one sentence and exits with 78, an interruption ends us by the same signal.
 * @param {() => Promise<void>} main
 */
export async function orSayWhy(main) {
  try {
    await main()
  } catch (error) {
    if (error instanceof Interrupted) return process.kill(process.pid, error.signal)
    if (!(error instanceof Failure)) throw error
    if (error.details) console.error(error.details)
    console.error(`bgtask: ${error.message}`)
    process.exit(78)
  }
}
