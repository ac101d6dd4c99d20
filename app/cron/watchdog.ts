import { Worker } from 'node:worker_threads'

/** Ends this process when what it does holds up its only thread: no timer of its own would ever fire then. */
export interface Watchdog {
  /** From now on this may take so long. */
  watch(what: string, limitMs: number): void
  rest(): void
}

/** What yields in time is told by a timer of the run itself; only what does not is ended. */
export const watchdogGraceMs = 5_000
/** How often the thread that is watched says that it yields, as long as it is. */
const yieldMs = 250

export const createWatchdog = ({ graceMs = watchdogGraceMs }: { graceMs?: number } = {}): Watchdog => {
  const yields = new Int32Array(new SharedArrayBuffer(4))
  const dog = new Worker(code, { eval: true, workerData: { yields, lookMs: 4 * yieldMs } })
  dog.unref()
  let yielding: NodeJS.Timeout | undefined
  return {
    watch: (what, limitMs) => {
      yielding ??= setInterval(() => Atomics.add(yields, 0, 1), yieldMs).unref()
      dog.postMessage({
        ms: limitMs + graceMs,
        text: `bgtask: ${what} holds up the process for more than ${limitMs / 1000} s; the process is ended, and the rest is done by the next run.`,
      })
    },
    rest: () => {
      clearInterval(yielding)
      yielding = undefined
      dog.postMessage({ ms: null })
    },
  }
}

// When the time is over it looks a second longer whether the other thread yields: a process that was paused (SIGSTOP, a machine that slept) comes back
// to a time that is over, and has held up nobody.
const code = `
const { parentPort, workerData: { yields, lookMs } } = require('node:worker_threads')
const { writeSync } = require('node:fs')
let timer
const look = text => {
  const seen = Atomics.load(yields, 0)
  timer = setTimeout(() => {
    if (Atomics.load(yields, 0) !== seen) return look(text)
    writeSync(2, text + '\\n')
    process.kill(process.pid, 'SIGKILL')
  }, lookMs)
}
parentPort.on('message', ({ ms, text }) => {
  clearTimeout(timer)
  if (ms !== null) timer = setTimeout(look, ms, text)
})
`
