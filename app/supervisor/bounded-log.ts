import { copyFileSync, fstatSync, statSync, truncateSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import type { Log } from './supervisor.ts'

/** The same sentence is not said again within this time: what goes wrong once a second says nothing new. */
const repeatMs = 60_000
const logLimitBytes = 10_000_000

/** A log that neither a trouble that repeats nor a long life can fill the disk with. */
export const calmLog = (log: Log, now: () => number = () => performance.now()): Log => {
  const said = new Map<string, number>()
  const once = (say: (sentence: string) => void) => (sentence: string) => {
    const last = said.get(sentence)
    if (last !== undefined && now() - last < repeatMs) return
    if (said.size > 1_000) said.clear()
    said.set(sentence, now())
    say(sentence)
  }
  return { info: sentence => log.info(sentence), warn: once(sentence => log.warn(sentence)) }
}

/** Makes bgtask.log to bgtask.log.1 when it has grown large, if it is where we print to: that is so when the panel or `start` started us. */
export const rotateOwnLog = (path: string, log: Log): void => {
  try {
    const ours = fstatSync(1)
    const there = statSync(path, { throwIfNoEntry: false })
    if (!there || there.ino !== ours.ino || there.dev !== ours.dev || there.size < logLimitBytes) return
    // We hold the file, so it is copied and cut; it was opened to append.
    copyFileSync(path, `${path}.1`)
    truncateSync(path)
  } catch (error) {
    log.warn(`${path} could not be rotated: ${messageOf(error)}`)
  }
}
