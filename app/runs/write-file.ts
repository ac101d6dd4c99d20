import type { Json } from '../task/task.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each run of a task 3 ms.
const { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, writeSync } = process.getBuiltinModule('node:fs')

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

/** A run may write what is read here, so it is not read without end. */
const mostBytes = 16_777_216

/** @returns null when the file is not there, is larger than 16 MB, or holds no JSON object (torn by a full disk, say) */
export const readJson = <T extends object>(path: string): T | null => {
  let text: string | null
  try {
    text = readText(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return null
    throw error
  }
  if (text === null) return null
  try {
    const value = JSON.parse(text) as Json
    return typeof value === 'object' && value !== null ? (value as unknown as T) : null
  } catch {
    return null
  }
}

const readText = (path: string): string | null => {
  const descriptor = openSync(path, 'r')
  try {
    const { size } = fstatSync(descriptor)
    if (size > mostBytes) return null
    const buffer = Buffer.allocUnsafe(size)
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, size, 0))
  } finally {
    closeSync(descriptor)
  }
}
