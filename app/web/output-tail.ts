import { type FSWatcher, watch } from 'node:fs'
import { readOutput } from '../runs/read-output.ts'
import { runPaths, runtimePaths } from '../runs/runtime-folder.ts'
import { runName } from '../task/run.ts'
import { ansiToHtml, freshAnsi } from './ansi.ts'
import { outputOnPage } from './task.ts'

/** The output of one run as it grows. */
export interface OutputTail {
  readonly number: number
  /** Bytes shown so far. */
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
  runtime: string,
  taskId: number,
  number: number,
  grown: (html: string, position: number) => void,
  report: (error: unknown) => void,
): OutputTail => {
  const { folder } = runPaths(runtimePaths(runtime).run(runName(taskId, number)).folder)
  let position = readOutput(folder, { maxBytes: outputOnPage }).to
  let state = freshAnsi()
  let soon: NodeJS.Timeout | undefined

  const pump = () => {
    for (let pieces = 0; pieces < 4; pieces++) {
      const piece = readOutput(folder, { from: position, maxBytes: mostAtOnce })
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
      const { text } = readOutput(folder, { from, maxBytes: position - from })
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
      if (name === 'output.log') changed()
    }).on('error', () => undefined)
  } catch {
    return null
  }
}
