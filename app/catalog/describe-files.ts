import { join } from 'node:path'
import type { Config } from '../config.ts'
import { moduleEnding } from '../paths.ts'
import { readDescribingChild } from '../runs/describing-child.ts'
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
  const read: FileDescription[] = []
  const { code, signal, tookTooLong } = await readDescribingChild(config, {
    program: join(import.meta.dirname, `describe-actions${moduleEnding}`),
    given: files,
    limitMs,
    onLine: line => read.push(JSON.parse(line) as FileDescription),
  })
  return { read, end: tookTooLong ? `${neverEnds}: ended after ${limitMs / 1000} s` : wordsOf(code, signal) }
}

/** How the error of a file begins that had to be ended; to try it again costs the whole limit. */
export const neverEnds = 'it does not end loading'

const wordsOf = (code: number | null, signal: string | null) => {
  // https://nodejs.org/api/process.html#exit-codes: 13, unsettled top-level await
  if (code === 13) return 'it never ends loading: it awaits something that nothing is left to settle'
  if (signal) return `the process ended by ${signal} while it was loaded`
  return `it leaves the process with code ${code} while it is loaded; an action's file must only define what it exports`
}
