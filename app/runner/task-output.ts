import type { AsyncLocalStorage } from 'node:async_hooks'
import { messageOf } from '../errors.ts'

// Not by import: that makes Node load all that node:fs has to offer, which costs each start some milliseconds.
const { closeSync, openSync, renameSync, writeSync } = process.getBuiltinModule('node:fs')

/** What one of several tasks of a process prints, in a file that is made with its first line. */
export interface TaskOutput {
  write(chunk: Uint8Array | string, encoding?: BufferEncoding): void
  /** All that was printed. */
  readonly bytes: number
  readonly ended: boolean
  end(): void
}

/**
 * @param place makes the run's folder and says where its output goes
 * @param limitBytes beyond half of it the file is put aside, and what was put aside before is gone
 */
export const createTaskOutput = (place: () => { output: string; rotatedOutput: string }, limitBytes: number): TaskOutput => {
  let descriptor: number | null = null
  let paths: { output: string; rotatedOutput: string } | null = null
  let inFile = 0
  let bytes = 0
  let ended = false
  const open = () => {
    paths ??= place()
    return openSync(paths.output, 'a', 0o600)
  }
  return {
    get bytes() {
      return bytes
    },
    get ended() {
      return ended
    },
    write(chunk, encoding) {
      const given = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      descriptor ??= open()
      if (inFile > 0 && inFile + given.length > limitBytes / 2) {
        closeSync(descriptor)
        renameSync(paths!.output, paths!.rotatedOutput)
        descriptor = open()
        inFile = 0
      }
      for (let written = 0; written < given.length; ) written += writeSync(descriptor, given, written)
      inFile += given.length
      bytes += given.length
    },
    end() {
      ended = true
      if (descriptor !== null) closeSync(descriptor)
      descriptor = null
    },
  }
}

/**
 * From here on what is written to process.stdout and process.stderr (console.log and ctx.log come by there) goes to the task in whose course it is
 * written. What no task is to be found for stays in the output of the process: what a module prints while it loads, what is still printed after a
 * task's end, and what does not come by these two streams (a program that is started with inherited output, a native module).
 */
export const divertOutput = (tasks: AsyncLocalStorage<{ output: TaskOutput }>): void => {
  for (const stream of [process.stdout, process.stderr]) {
    const own = stream.write.bind(stream) as (...given: unknown[]) => boolean
    const divert = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
      const output = tasks.getStore()?.output
      if (!output || output.ended) return own(chunk, ...more)
      try {
        output.write(chunk, typeof more[0] === 'string' ? (more[0] as BufferEncoding) : undefined)
      } catch (error) {
        // A full disk, say: a task does not fail because of what it prints.
        own(`bgtask: output of a task is lost (${messageOf(error)})\n`)
      }
      const callback = more.find(one => typeof one === 'function') as (() => void) | undefined
      if (callback) process.nextTick(callback)
      return true
    }
    stream.write = divert as typeof stream.write
  }
}
