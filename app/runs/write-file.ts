import type { Json } from '../task/task.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } = process.getBuiltinModule('node:fs')

/** Replaces a file as a whole: a reader, or a crash, sees the old text or the new, never a part. `durable` also survives a power cut. */
export const writeWhole = (path: string, text: string, { durable = false, mode = 0o600 } = {}): void => {
  const temporary = `${path}.${process.pid}.${process.hrtime.bigint().toString(36)}.tmp`
  const descriptor = openSync(temporary, 'wx', mode)
  try {
    writeSync(descriptor, text)
    if (durable) fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, path)
}

export const writeJson = (path: string, value: object, options?: { durable?: boolean; mode?: number }): void =>
  writeWhole(path, `${JSON.stringify(value)}\n`, options)

/** @returns null when the file is not there, or holds no JSON object (torn by a full disk, say) */
export const readJson = <T extends object>(path: string): T | null => {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return null
    throw error
  }
  try {
    const value = JSON.parse(text) as Json
    return typeof value === 'object' && value !== null ? (value as unknown as T) : null
  } catch {
    return null
  }
}
