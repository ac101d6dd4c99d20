import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { runPaths } from './runtime-folder.ts'

/** A piece of output: bytes `from` to `to` of the file now called output.log, which has `size` bytes. */
export interface OutputPiece {
  text: string
  from: number
  to: number
  size: number
  /** Older output lies in output.log.1, or is gone. */
  rotated: boolean
}

/**
 * Reads on from where a reader was, or the newest `maxBytes` when `from` is not given. A reader that is ahead of the file
 * (it was rotated meanwhile) starts at its beginning. Never ends within a character of UTF-8.
 */
export const readOutput = (folder: string, { from, maxBytes = 262_144 }: { from?: number; maxBytes?: number } = {}): OutputPiece => {
  const paths = runPaths(folder)
  const size = sizeOf(paths.output)
  const rotated = sizeOf(paths.rotatedOutput) > 0
  const start = from === undefined ? Math.max(0, size - maxBytes) : from > size ? 0 : from
  const bytes = readBytes(paths.output, start, Math.min(maxBytes, Math.max(0, size - start)))
  const whole = bytes.subarray(0, bytes.length - brokenTail(bytes))
  const text = new TextDecoder().decode(start > 0 && from === undefined ? afterFirstLine(whole) : whole)
  return { text, from: start, to: start + whole.length, size, rotated }
}

/** 0 when it is not there. */
export const sizeOf = (path: string): number => {
  const descriptor = openToRead(path)
  if (descriptor === null) return 0
  try {
    return fstatSync(descriptor).size
  } finally {
    closeSync(descriptor)
  }
}

const openToRead = (path: string): number | null => {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Fewer when the file ends before, or is not there. */
export const readBytes = (path: string, start: number, length: number): Buffer => {
  const descriptor = length <= 0 ? null : openToRead(path)
  if (descriptor === null) return Buffer.alloc(0)
  try {
    const buffer = Buffer.alloc(length)
    return buffer.subarray(0, readSync(descriptor, buffer, 0, length, start))
  } finally {
    closeSync(descriptor)
  }
}

/** A tail that begins in the middle of a line would show half of it. */
export const afterFirstLine = (bytes: Buffer) => {
  const end = bytes.indexOf(10)
  return end < 0 ? bytes : bytes.subarray(end + 1)
}

/** How many bytes at the end are the beginning of a character. */
export const brokenTail = (bytes: Buffer): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0
  }
  return 0
}
