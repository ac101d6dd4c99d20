import { type FSWatcher, watch } from 'node:fs'
import type { SecretConfig } from '../runs/known-secrets.ts'
import type { OutputPiece } from '../runs/read-output.ts'
import { readShownOutput } from '../runs/read-shown-output.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runHasEnded } from '../runs/run-has-ended.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import { runName } from '../task/run.ts'
import { ansiToHtml, freshAnsi } from './ansi.ts'
import { outputOnPage } from './task.ts'

/** The output of one run as it grows. */
export interface OutputTail {
  readonly number: number
  /** Bytes shown so far. What may be the beginning of a secret is not shown before it is known. */
  readonly position: number
  /** Reads what is new and hands it on. */
  pump(): void
  /** The newest output up to `position`, as a page shows it. */
  all(): string
  close(): void
}

/** Not more often than this, so that a flood of output makes no flood of messages. */
const mostOftenMs = 100
/** Of a flood only the newest part is shown. */
const mostAtOnce = 64 * 1024

/** @param grown called with new output as HTML and the position after it; the kernel says when there is some, so it comes at once */
export const openTail = (
  config: SecretConfig,
  taskId: number,
  number: number,
  grown: (html: string, position: number) => void,
  report: (error: unknown) => void,
): OutputTail => {
  const { folder } = runPaths(runtimePaths(config.runtime).run(runName(taskId, number)).folder)
  const redactor = () => redactionOf(config).ofRun(folder)
  const read = (piece: { from?: number; to?: number; maxBytes?: number; continued?: boolean }): OutputPiece =>
    // Looked at before: what is written after it has ended is not shown as if it were all.
    readShownOutput(folder, redactor, { ended: runHasEnded(folder), ...piece })
  let position = read({ maxBytes: outputOnPage }).to
  let state = freshAnsi()
  let soon: NodeJS.Timeout | undefined

  const pump = () => {
    for (let pieces = 0; pieces < 4; pieces++) {
      const piece = read({ from: position, maxBytes: mostAtOnce, continued: true })
      if (piece.to === position) return
      if (piece.from !== position) state = freshAnsi()
      position = piece.to
      grown(ansiToHtml(piece.text, state), position)
      if (piece.size - position > 8 * mostAtOnce) skipAhead(piece.size)
    }
    later()
  }
  const skipAhead = (size: number) => {
    position = size - mostAtOnce
    state = freshAnsi()
    grown('\n<span class="ansi-mark">[…]</span>\n', position)
  }
  const later = () => {
    soon ??= setTimeout(() => {
      soon = undefined
      try {
        pump()
      } catch (error) {
        report(error)
      }
    }, mostOftenMs)
  }

  const watcher = watchFolder(folder, later)
  return {
    number,
    get position() {
      return position
    },
    pump,
    all() {
      const from = Math.max(0, position - outputOnPage)
      const { text } = read({ from, to: position, maxBytes: position - from })
      return ansiToHtml(from > 0 ? text.slice(text.indexOf('\n') + 1) : text)
    },
    close() {
      clearTimeout(soon)
      watcher?.close()
    },
  }
}

// A folder that is gone (pruned) will not grow again, and the poll covers what cannot be watched.
const watchFolder = (folder: string, changed: () => void): FSWatcher | null => {
  try {
    return watch(folder, (_event, name) => {
      if (name === 'output.log' || name === 'outcome.json') changed()
    }).on('error', () => undefined)
  } catch {
    return null
  }
}
