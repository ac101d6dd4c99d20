import { errorPattern, errorSample } from './error-pattern.ts'

/** What iterations of one run threw that has the same pattern. Times are milliseconds since 1970. */
export interface ThrownError {
  /** As `errorPattern` has it: what fails a run with this message has the same. */
  pattern: string
  /** As the last of them said it: its first line, at most 500 characters. */
  sample: string
  n: number
  firstAt: number
  lastAt: number
}

/** Of a run no more are kept apart; then the one that was met last the longest time ago is forgotten. */
export const mostThrown = 10

/** Counts one more, in place. */
export const noteThrown = (thrown: ThrownError[], message: string, now: number): void => {
  const said = { kind: 'failed', content: message, error: null, exitCode: null, signal: null } as const
  const pattern = errorPattern(said)
  const sample = errorSample(said)
  const known = thrown.find(error => error.pattern === pattern)
  if (known) {
    known.n++
    known.sample = sample
    known.lastAt = now
    return
  }
  if (thrown.length >= mostThrown) {
    const oldest = thrown.reduce((before, error) => (error.lastAt < before.lastAt ? error : before))
    thrown.splice(thrown.indexOf(oldest), 1)
  }
  thrown.push({ pattern, sample, n: 1, firstAt: now, lastAt: now })
}
