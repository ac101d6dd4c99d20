import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Config } from '../config.ts'
import { moduleEnding } from '../paths.ts'
import { markVariable } from '../runs/process-identity.ts'
import { runEnvironment } from '../runs/run-environment.ts'
import type { FileDescription } from './action-entry.ts'

/** What the map needs of the configuration. */
export type CatalogConfig = Pick<Config, 'actions' | 'runtime'> & Partial<Pick<Config, 'childEnv'>>

/**
 * Describes each file, in the given order, in processes of their own. A file that throws, leaves the process or does not end while it is loaded
 * gets an error, and the next ones are described in a fresh process.
 * @param limitMs how long one file may take to load
 */
export const describeFiles = async (config: CatalogConfig, files: readonly string[], limitMs = 10_000): Promise<FileDescription[]> => {
  const described: FileDescription[] = []
  while (described.length < files.length) {
    const { read, end } = await describeSome(config, files.slice(described.length), limitMs)
    described.push(...read)
    if (described.length < files.length) described.push({ error: end, actions: [] })
  }
  return described
}

/** @returns the descriptions up to the file that ended the process, and how that one did it */
const describeSome = async (
  config: CatalogConfig,
  files: readonly string[],
  limitMs: number,
): Promise<{ read: FileDescription[]; end: string }> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, `describe-actions${moduleEnding}`), ...files], {
    env: environmentOf(config),
    detached: true, // a group of its own, to be ended with all that the files start
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const read: FileDescription[] = []
  let tookTooLong = false
  const watch = setTimeout(() => {
    tookTooLong = true
    endGroup(child.pid)
  }, limitMs + startMs)
  const lines = createInterface({ input: child.stdio[3] as Readable })
  const closed = once(lines, 'close')
  lines.on('line', line => {
    read.push(JSON.parse(line) as FileDescription)
    watch.refresh()
  })
  const [code, signal] = await exit
  clearTimeout(watch)
  endGroup(child.pid)
  await closed
  return { read, end: tookTooLong ? `${neverEnds}: ended after ${limitMs / 1000} s` : wordsOf(code, signal) }
}

/** How the error of a file begins that had to be ended; to try it again costs the whole limit. */
export const neverEnds = 'it does not end loading'

/** The process itself may need so long to start on a busy machine; what it loads must not pay for that. */
const startMs = 2_000

const wordsOf = (code: number | null, signal: string | null) => {
  // https://nodejs.org/api/process.html#exit-codes: 13, unsettled top-level await
  if (code === 13) return 'it never ends loading: it awaits something that nothing is left to settle'
  if (signal) return `the process ended by ${signal} while it was loaded`
  return `it leaves the process with code ${code} while it is loaded; an action's file must only define what it exports`
}

const environmentOf = (config: CatalogConfig): NodeJS.ProcessEnv => {
  const { [markVariable]: _, ...environment } = runEnvironment({ childEnv: [], ...config }, { mark: '' })
  // Node would try for ever to make it below a folder that cannot be made.
  return existsSync(config.runtime) ? { ...environment, NODE_COMPILE_CACHE: join(config.runtime, 'compile-cache') } : environment
}

const endGroup = (pid: number | undefined) => {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
