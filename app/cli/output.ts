import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { BgtaskError, exitCodes } from '../errors.ts'
import { hostId } from '../runs/host-id.ts'
import { isAlive } from '../runs/process-identity.ts'
import { sizeOf } from '../runs/read-output.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import { readTicket } from '../runs/ticket.ts'
import { findRun } from '../store/list-runs.ts'
import { runName } from '../task/run.ts'
import { harmless } from './display-width.ts'
import { taskGiven, wholeNumber, withBackground } from './open.ts'
import { note } from './print.ts'

export interface OutputOptions {
  follow?: boolean
  /** Number of the run. */
  run?: string
  raw?: boolean
}

/** Prints the bytes of the run's output as they are; on a terminal without what could steer it, unless --raw. */
export const runOutput = async (given: string, options: OutputOptions): Promise<number> => {
  const folder = await folderOf(given, options)
  const paths = runPaths(folder)
  const write = writer(process.stdout.isTTY === true && !options.raw)
  if (sizeOf(paths.rotatedOutput) > 0) await copy(paths.rotatedOutput, 0, write)
  let from = await copy(paths.output, 0, write)
  if (options.follow) {
    for (;;) {
      // Looked at before the rest is read, so that nothing written before the end is missed.
      const ended = hasEnded(folder)
      if (sizeOf(paths.output) < from) {
        await copy(paths.rotatedOutput, from, write)
        from = 0
      }
      from = await copy(paths.output, from, write)
      if (ended) break
      await wait(150)
    }
  }
  write(null)
  return exitCodes.done
}

const folderOf = (given: string, options: OutputOptions): Promise<string> =>
  withBackground(async ({ config, db }) => {
    const task = await taskGiven({ db }, given)
    const number = options.run === undefined ? task.number : wholeNumber('--run', options.run, 1, Number.MAX_SAFE_INTEGER)
    if (number === 0) throw new BgtaskError('failed', `Task ${task.id} has not run yet, so there is no output.`)
    const { folder } = runtimePaths(config.runtime).run(runName(task.id, number))
    if (existsSync(folder)) return folder
    const run = await findRun(db, task.id, number)
    if (!run) throw new BgtaskError('not-found', `Task ${task.id} has no run ${number}; show ${task.id} lists its runs.`)
    if (run.host !== hostId(config.runtime))
      throw new BgtaskError('failed', `The output of run ${number} lies on another host (${run.host}).`)
    throw new BgtaskError('failed', `The output of run ${number} is gone: it was pruned, or the run was never spawned.`)
  })

const pieceBytes = 262_144

/** @returns how far it came */
const copy = async (path: string, from: number, write: (bytes: Buffer) => boolean): Promise<number> => {
  if (!existsSync(path)) return from
  const descriptor = openSync(path, 'r')
  let at = from
  try {
    for (;;) {
      const piece = Buffer.alloc(pieceBytes)
      const length = readSync(descriptor, piece, 0, pieceBytes, at)
      if (length === 0) return at
      at += length
      if (!write(piece.subarray(0, length))) await new Promise(resolve => process.stdout.once('drain', resolve))
    }
  } finally {
    closeSync(descriptor)
  }
}

// Characters may be cut by the pieces; null says that no piece follows.
const writer = (onTerminal: boolean) => {
  const decoder = new TextDecoder()
  return (bytes: Buffer | null): boolean => {
    if (!onTerminal) return bytes === null || process.stdout.write(bytes)
    return process.stdout.write(harmless(bytes === null ? decoder.decode() : decoder.decode(bytes, { stream: true })))
  }
}

const hasEnded = (folder: string): boolean => {
  if (existsSync(runPaths(folder).outcome)) return true
  const ticket = readTicket(folder)
  if (ticket === null) {
    note('The run folder has been removed meanwhile.')
    return true
  }
  return ticket.process !== undefined && !isAlive(ticket.process)
}
