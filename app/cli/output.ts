import { existsSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { BgtaskError, exitCodes } from '../errors.ts'
import { hostId } from '../runs/host-id.ts'
import { readBytes, sizeOf } from '../runs/read-output.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runHasEnded } from '../runs/run-has-ended.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import { createRedactingStream } from '../secrets/redacting-stream.ts'
import type { Redactor } from '../secrets/redactor.ts'
import { findRun } from '../store/list-runs.ts'
import { runName } from '../task/run.ts'
import { harmless, heldSequence } from '../texts/control-characters.ts'
import { lastLinesAt } from './last-lines-at.ts'
import { wholeNumber, withBackground } from './open.ts'
import { note } from './print.ts'
import { taskNamed } from './task-named.ts'

export interface OutputOptions {
  follow?: boolean
  /** Number of the run. */
  run?: string
  /** Only so many lines of the end. */
  tail?: string
  raw?: boolean
}

/** Prints what a run printed, without secrets and without what could steer a terminal; with --raw byte by byte, but still without secrets. */
export const runOutput = async (given: string, options: OutputOptions): Promise<number> => {
  const lines = options.tail === undefined ? null : wholeNumber('--tail', options.tail, 0, 1_000_000_000)
  const { folder, name, redactor } = await runOf(given, options)
  const paths = runPaths(folder)
  const begin = lines === null ? { older: 0, newer: 0 } : lastLinesAt(paths, lines)
  const out = writer(redactor, options.raw ?? false, contextOf(paths, begin))
  await copy(paths.rotatedOutput, begin.older, out)
  let from = await copy(paths.output, begin.newer, out)
  let ended = runHasEnded(folder)
  while (options.follow) {
    // Looked at before the rest is read, so that nothing written before the end is missed.
    ended = runHasEnded(folder)
    if (sizeOf(paths.output) < from) {
      await copy(paths.rotatedOutput, from, out)
      from = 0
    }
    from = await copy(paths.output, from, out)
    if (!existsSync(folder)) note('The run folder has been removed meanwhile.')
    if (ended) break
    await wait(150)
  }
  // Of a live run the end waits, as long as it may be the beginning of a secret.
  if (ended) await out.end()
  if (sizeOf(paths.output) + sizeOf(paths.rotatedOutput) === 0)
    note(`${name} ${ended ? 'printed nothing' : 'has printed nothing yet; -f waits for what comes'}.`)
  return exitCodes.done
}

const runOf = (given: string, options: OutputOptions): Promise<{ folder: string; name: string; redactor: () => Redactor }> =>
  withBackground(async ({ config, db }) => {
    const task = await taskNamed({ db }, given, undefined)
    const number = options.run === undefined ? task.number : wholeNumber('--run', options.run, 1, Number.MAX_SAFE_INTEGER)
    if (number === 0) throw new BgtaskError('failed', `Task ${task.id} has not run yet, so there is no output.`)
    const { folder } = runtimePaths(config.runtime).run(runName(task.id, number))
    const name = `Run ${number} of task ${task.id}`
    if (existsSync(folder)) return { folder, name, redactor: () => redactionOf(config).ofOutput(folder, task) }
    const run = await findRun(db, task.id, number)
    if (!run) throw new BgtaskError('not-found', `Task ${task.id} has no run ${number}; show ${task.id} lists its runs.`)
    if (run.host !== hostId(config.runtime))
      throw new BgtaskError('failed', `The output of run ${number} lies on another host (${run.host}).`)
    throw new BgtaskError('failed', `The output of run ${number} is gone: it was pruned, or the run was never spawned.`)
  })

const pieceBytes = 262_144
/** Looked at before the first line, in which a secret may have begun. */
const contextBytes = 65_536

const contextOf = (paths: ReturnType<typeof runPaths>, { older, newer }: { older: number; newer: number }): Buffer =>
  newer > 0 ? before(paths.output, newer) : before(paths.rotatedOutput, older)

const before = (path: string, at: number) => readBytes(path, Math.max(0, at - contextBytes), Math.min(at, contextBytes))

/** @returns how far it came */
const copy = async (path: string, from: number, out: Writer): Promise<number> => {
  for (let at = from; ; ) {
    const piece = readBytes(path, at, pieceBytes)
    if (piece.length === 0) return at
    at += piece.length
    await out.write(piece)
  }
}

interface Writer {
  write(bytes: Buffer): Promise<void>
  end(): Promise<void>
}

const writer = (redactor: () => Redactor, raw: boolean, context: Buffer): Writer => {
  const stream = createRedactingStream(redactor, context)
  // Characters and sequences may be cut by the pieces.
  const decoder = new TextDecoder()
  let held = ''
  const send = async (bytes: Buffer, last: boolean) => {
    if (raw) return print(bytes)
    const text = held + decoder.decode(bytes, { stream: !last })
    held = last ? '' : heldSequence(text)
    return print(harmless(text.slice(0, text.length - held.length)))
  }
  return {
    write: bytes => send(stream.push(bytes), false),
    end: () => send(stream.end(), true),
  }
}

const print = async (what: string | Buffer) => {
  if (!process.stdout.write(what)) await new Promise(resolve => process.stdout.once('drain', resolve))
}
