import { rmSync } from 'node:fs'
import type { Notify } from '../task/notify.ts'
import { runtimePaths } from './runtime-folder.ts'
import { readJson, writeJson } from './write-file.ts'

/** What core/notify needs, secrets included: a 0600 file, since an environment is inherited by everything an action starts. */
export const writeNotify = (runtime: string, notify: Notify): void => writeJson(runtimePaths(runtime).notify, notify)
export const readNotify = (runtime: string): Notify | null => readJson<Notify>(runtimePaths(runtime).notify)
export const removeNotify = (runtime: string): void => rmSync(runtimePaths(runtime).notify, { force: true })
