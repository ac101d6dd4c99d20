import { Worker } from 'node:worker_threads'

/** Ends this process when what it does holds up its only thread: no timer of its own would ever fire then. */
export interface Watchdog {
  /** From now on this may take so long. */
  watch(what: string, limitMs: number): void
  rest(): void
}

/** What yields in time is told by a timer of the run itself; only what does not is ended. */
export const watchdogGraceMs = 5_000

export const createWatchdog = (): Watchdog => {
  const dog = new Worker(code, { eval: true })
  dog.unref()
  return {
    watch: (what, limitMs) =>
      dog.postMessage({
        ms: limitMs + watchdogGraceMs,
        text: `bgtask: ${what} holds up the process for more than ${limitMs / 1000} s; the process is ended, and the rest is done by the next run.`,
      }),
    rest: () => dog.postMessage({ ms: null }),
  }
}

const code = `
const { parentPort } = require('node:worker_threads')
const { writeSync } = require('node:fs')
let timer
parentPort.on('message', ({ ms, text }) => {
  clearTimeout(timer)
  if (ms === null) return
  timer = setTimeout(() => {
    writeSync(2, text + '\\n')
    process.kill(process.pid, 'SIGKILL')
  }, ms)
})
`
