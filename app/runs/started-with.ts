import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { packageVersion } from '../paths.ts'
import type { StartFacts } from '../task/start-facts.ts'
import { commitOf } from './commit-of.ts'
import type { Ticket } from './ticket.ts'

/** What lies in the ticket of what a run is started with, besides what stands there anyway. */
export type StartedWith = Pick<StartFacts, 'code' | 'commit' | 'node' | 'bgtask'>

/** As it is now: looked at just before the run is started, which is with this Node and this bgtask. */
export const startedWith = (file: string): StartedWith => ({
  code: codeOf(file),
  commit: commitOf(dirname(file)),
  node: process.versions.node,
  bgtask: packageVersion(),
})

/** @param ticket of a run @returns null when it was written by a version that did not look at it */
export const startFactsOf = (
  ticket: Pick<Ticket, 'params'> & Partial<Pick<Ticket, 'startedWith' | 'limits' | 'timeoutMs' | 'graceMs' | 'execType'>>,
): StartFacts | null => {
  const { startedWith, limits = null, timeoutMs = null, graceMs, execType, params } = ticket
  if (!startedWith || graceMs === undefined) return null
  return { ...startedWith, limits, timeoutMs, graceMs, ...(execType === 'FOREVER' ? { params } : {}) }
}

const codeOf = (file: string): StartFacts['code'] => {
  try {
    const { mtimeMs, size } = statSync(file)
    const stamp = `${mtimeMs} ${size}`
    const known = hashes.get(file)
    if (known?.stamp === stamp) return { file, changedAt: Math.round(mtimeMs), hash: known.hash }
    const hash = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12)
    if (hashes.size >= mostFiles) hashes.clear()
    hashes.set(file, { stamp, hash })
    return { file, changedAt: Math.round(mtimeMs), hash }
  } catch {
    return null // the run says that it cannot be loaded
  }
}

// A file is read when it has changed, and not for each of the runs in between.
const hashes = new Map<string, { stamp: string; hash: string }>()
const mostFiles = 1_000
