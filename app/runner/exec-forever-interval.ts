import { messageOf } from '../errors.ts'
import { success, type Verdict } from '../task/outcome.ts'
import { type CurrentRun, currentRun } from './current-run.ts'
import { createLog, type Log } from './log.ts'
import { createStop, isStopError, type Stop } from './stop.ts'

/** One call of the function given to execForeverInterval. */
export interface Iteration {
  /** From 1, within this process. */
  readonly number: number
  /** Aborts when the run is asked to stop, so that a long iteration can end early. */
  readonly signal: AbortSignal
  readonly log: Log
}

export interface IntervalOptions {
  /**
   * `delay`: `ms` between the end of one iteration and the start of the next.
   * `fixed`: starts lie `ms` apart on the monotonic clock; those missed by a long iteration are skipped. Default `delay`.
   */
  rate?: 'delay' | 'fixed'
  /** What follows an iteration that throws. `end`: the run, as failed. `continue`: the next one; errors are counted and printed. Default `end`. */
  onError?: 'end' | 'continue'
  /** A fresh process after so many iterations. Default: never. */
  maxIterations?: number
  /** A fresh process once this one has looped for so long. Default: never. */
  maxAgeMs?: number
  /** A fresh process once this one holds so much resident memory, in MB of 1,000,000 bytes. Default: never. */
  maxRssMb?: number
  /** Ends the loop too; for use outside of a run, where nobody else stops it. */
  signal?: AbortSignal
}

/**
 * Calls `fn` again and again, never two at once, with `ms` milliseconds in between; the first time at once. The loop ends after the iteration
 * under way when the run is asked to stop, and a wait ends at once.
 * @param fn may be async; what it returns is not looked at
 * @returns how it ended, for `return execForeverInterval(…)` in an action
 * @throws TypeError naming the argument that is wrong; whatever `fn` threw, unless `onError` is `continue`
 * @example
 * export const execute = () => execForeverInterval(async ({ signal, log }) => {
 *   log('polled', { found: await poll(signal) })
 * }, 5_000)
 */
export const execForeverInterval = async (
  fn: (iteration: Iteration) => unknown,
  ms: number,
  options: IntervalOptions = {},
): Promise<Verdict> => {
  checkArguments(fn, ms, options)
  const run = currentRun()
  const stop = stopOf(run, options.signal)
  const ending = endingOf(stop, run)
  const log = run?.log ?? createLog()
  const beginning = performance.now()
  let due = beginning
  let errors = 0
  const stopped = (number: number) => {
    if (run?.stop.asked) run.loopStopped = true
    return success(ended('stopped', number, errors))
  }
  if (ending.asked) return stopped(0)
  for (let number = 1; ; number++) {
    run?.beats.iterationStarted()
    let thrown: { error: unknown; goesOn: boolean } | undefined
    try {
      await fn(iterationOf(number, stop, log))
    } catch (error) {
      if (!(stop.asked && isStopError(error))) thrown = { error, goesOn: options.onError === 'continue' }
    }
    run?.beats.iterationEnded(thrown)
    if (thrown) {
      if (!thrown.goesOn) throw thrown.error
      errors++
      log.error(`iteration ${number} threw: ${messageOf(thrown.error)}`, { errors })
      console.error(thrown.error)
    }
    if (ending.asked) return stopped(number)
    if (run?.iterationLimit && number >= run.iterationLimit) return success(ended('ended', number, errors))
    const recycled = whyRecycled(options, number, beginning)
    if (recycled !== null) {
      run?.recycle(recycled)
      return success(recycled)
    }
    due = nextDue(due, ms, options.rate)
    await sleepUntil(due, ending, delayMs => run?.beats.sleeps(delayMs))
    if (ending.asked) return stopped(number)
  }
}

const nextDue = (due: number, ms: number, rate: IntervalOptions['rate']) => {
  const now = performance.now()
  if (rate !== 'fixed' || ms === 0) return now + ms
  // From the first start on, so that no lateness adds up; a start that lies in the past was missed.
  return due + ms * Math.max(1, Math.ceil((now - due) / ms))
}

const longestTimerMs = 2 ** 31 - 1

/** Always lets the event loop turn once, or signals would never be heard in a fast loop. */
const sleepUntil = async (due: number, ending: Stop, tell: (delayMs: number) => void) => {
  if (due - performance.now() >= 1) tell(due - performance.now())
  while (!ending.asked) {
    const leftMs = due - performance.now()
    if (leftMs <= 0) return new Promise<void>(resolve => setImmediate(resolve))
    await sleep(Math.min(Math.ceil(leftMs), longestTimerMs), ending)
  }
}

const sleep = (ms: number, ending: Stop) =>
  new Promise<void>(resolve => {
    let forget = () => {}
    const wake = () => {
      clearTimeout(timer)
      forget()
      resolve()
    }
    const timer = setTimeout(wake, ms)
    forget = ending.whenAsked(wake)
  })

const iterationOf = (number: number, stop: Stop, log: Log): Iteration => ({
  number,
  log,
  get signal() {
    return stop.signal
  },
})

const whyRecycled = ({ maxIterations, maxAgeMs, maxRssMb }: IntervalOptions, number: number, beginning: number): string | null => {
  if (maxIterations !== undefined && number >= maxIterations) return `recycled after ${number} iterations`
  if (maxAgeMs !== undefined && performance.now() - beginning >= maxAgeMs)
    return `recycled after ${Math.round(performance.now() - beginning)} ms`
  if (maxRssMb === undefined) return null
  const rssMb = process.memoryUsage.rss() / 1e6
  return rssMb > maxRssMb ? `recycled at ${Math.round(rssMb)} MB of memory, after ${number} iterations` : null
}

const ended = (how: string, iterations: number, errors: number) =>
  `${how} after ${iterations} ${iterations === 1 ? 'iteration' : 'iterations'}${errors ? `, ${errors} of which threw` : ''}`

/** The caller's own signal ends this loop, not the run that it is part of. */
const stopOf = (run: CurrentRun | null, signal: AbortSignal | undefined): Stop => {
  const stop = run?.stop ?? createStop()
  if (!signal) return stop
  const either = createStop()
  const ask = () => either.ask(run?.stop.asked ?? 'interrupted')
  stop.whenAsked(ask)
  if (signal.aborted) ask()
  else signal.addEventListener('abort', ask, { once: true })
  return either
}

/** Ends with a stop, and when another loop of the same run has asked for a fresh process; that aborts no iteration. */
const endingOf = (stop: Stop, run: CurrentRun | null): Stop => {
  const ending = createStop()
  stop.whenAsked(() => ending.ask('interrupted'))
  run?.recycling.whenAsked(() => ending.ask('interrupted'))
  return ending
}

const checkArguments = (fn: unknown, ms: unknown, options: unknown) => {
  const refuse = (what: string, given: unknown, allowed: string) => {
    throw new TypeError(`execForeverInterval: ${what} is ${show(given)}; it must be ${allowed}.`)
  }
  if (typeof fn !== 'function') refuse('the first argument', fn, 'a function, as in execForeverInterval(() => poll(), 5_000)')
  if (!isNumber(ms) || ms < 0) refuse('the second argument', ms, 'a number of milliseconds, 0 or more')
  if (typeof options !== 'object' || options === null) refuse('the third argument', options, 'an object with options')
  for (const [name, given] of Object.entries(options as object)) {
    const rule = rules[name as keyof IntervalOptions]
    if (!rule) refuse(`option ${name}`, given, `one of ${Object.keys(rules).join(', ')}`)
    else if (given !== undefined && !rule.holds(given)) refuse(`option ${name}`, given, rule.allowed)
  }
}

const isNumber = (given: unknown): given is number => typeof given === 'number' && Number.isFinite(given)
const show = (given: unknown) =>
  typeof given === 'string' ? JSON.stringify(given) : typeof given === 'function' ? 'a function' : String(given)

const atLeastOne = { holds: (given: unknown) => Number.isInteger(given) && (given as number) >= 1, allowed: 'a whole number, 1 or more' }
const moreThanZero = { holds: (given: unknown) => isNumber(given) && given > 0, allowed: 'a number above 0' }
const rules: Record<keyof IntervalOptions, { holds(given: unknown): boolean; allowed: string }> = {
  rate: { holds: given => given === 'delay' || given === 'fixed', allowed: "'delay' or 'fixed'" },
  onError: { holds: given => given === 'end' || given === 'continue', allowed: "'end' or 'continue'" },
  maxIterations: atLeastOne,
  maxAgeMs: moreThanZero,
  maxRssMb: moreThanZero,
  signal: { holds: given => given instanceof AbortSignal, allowed: 'an AbortSignal' },
}
