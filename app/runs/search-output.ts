import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Redactor } from '../secrets/redactor.ts'
import { readStoredLines, type StoredLine, storedExtent } from './stored-output.ts'

/** What was found in the output of a run, and how far was looked. */
export interface OutputMatches {
  /** The newest first. */
  lines: StoredLine[]
  /** All from here on was looked at. */
  from: number
  /** Nothing older is kept. */
  isAll: boolean
}

/**
 * Looks through all that is kept of a run's output, from the end back, in both of its files. Others get their turn after each piece, and it stops
 * when it has worked for long enough: whoever asked may go on from there.
 * @param redactor asked for once, after the last byte that is looked at was written
 * @param options.matches told each line without its secrets
 * @param options.before looks only at what stands before this place. Default: all
 * @param options.most stops when it has found so many lines. Default 100
 * @param options.budgetMs of work, without what others did meanwhile. Default 1,500
 * @param options.signal ends it early, with what it has by then
 */
export const searchOutput = async (
  folder: string,
  redactor: () => Redactor,
  {
    matches,
    before = Number.MAX_SAFE_INTEGER,
    most = 100,
    budgetMs = 1_500,
    ended,
    signal,
  }: { matches: (text: string) => boolean; before?: number; most?: number; budgetMs?: number; ended: boolean; signal?: AbortSignal },
): Promise<OutputMatches> => {
  const extent = storedExtent(folder)
  const known = redactor()
  const lines: StoredLine[] = []
  let from = Math.max(extent.from, Math.min(before, extent.to))
  for (let workedMs = 0; from > extent.from && workedMs < budgetMs && !signal?.aborted; ) {
    const since = performance.now()
    const piece = await readStoredLines(folder, known, { from: Math.max(extent.from, from - pieceBytes), to: from, ended })
    // What was rotated away meanwhile is not kept any more.
    if (piece.from >= from) return { lines, from, isAll: true }
    for (const line of piece.lines.reverse()) {
      if (!matches(line.text)) continue
      lines.push(line)
      if (lines.length === most) return { lines, from: line.at, isAll: line.at <= extent.from }
    }
    from = piece.from
    workedMs += performance.now() - since
    await nextTurn()
  }
  return { lines, from, isAll: from <= extent.from }
}

/** What a look at it takes is a few milliseconds. */
const pieceBytes = 262_144
