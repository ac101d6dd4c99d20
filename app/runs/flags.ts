import { readFileSync, rmSync } from 'node:fs'
import { runtimePaths } from './runtime-folder.ts'
import { readJson, writeJson } from './write-file.ts'

/** A wish in a file. Its epoch names the supervisor's life it is meant for, so a stale one cannot stop the next. */
export interface Flag {
  epoch: string | null
  by: string
  at: number
}

export const askStop = (runtime: string, flag: Flag): void => writeJson(runtimePaths(runtime).stop, flag)
export const askReload = (runtime: string, flag: Flag): void => writeJson(runtimePaths(runtime).reload, flag)

/** @returns null when there is none. A flag made by hand (`touch`, any text) means the supervisor that finds it. */
export const readFlag = (path: string): Flag | null => {
  try {
    const text = readFileSync(path, 'utf8')
    return readJson<Flag>(path) ?? { epoch: null, by: text.trim() || 'by hand', at: 0 }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
export const removeFlag = (path: string): void => rmSync(path, { force: true })

/** An operator's "stay stopped": a visit to /admin does not override it. */
export interface Hold {
  by: string
  at: number
}
export const hold = (runtime: string, by: string, at: number): void => writeJson(runtimePaths(runtime).hold, { by, at })
export const readHold = (runtime: string): Hold | null => readJson<Hold>(runtimePaths(runtime).hold)
export const releaseHold = (runtime: string): void => rmSync(runtimePaths(runtime).hold, { force: true })
