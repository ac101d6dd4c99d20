import { readBytes, sizeOf } from '../runs/read-output.ts'
import type { runPaths } from '../runs/runtime-folder.ts'

/** Where the last lines of a run's output begin in its two files, the older first. The line that is being written counts. */
export const lastLinesAt = (
  { output, rotatedOutput }: Pick<ReturnType<typeof runPaths>, 'output' | 'rotatedOutput'>,
  lines: number,
): { older: number; newer: number } => {
  const newer = search(output, sizeOf(output), lines, true)
  const olderSize = sizeOf(rotatedOutput)
  if (newer.left === 0) return { older: olderSize, newer: newer.at }
  return { older: search(rotatedOutput, olderSize, newer.left, sizeOf(output) === 0).at, newer: 0 }
}

const pieceBytes = 65_536
const lineFeed = 10

/** Backwards from the end. @param isEnd a line feed that stands last ends the last line and begins none */
const search = (path: string, size: number, lines: number, isEnd: boolean): { at: number; left: number } => {
  if (lines === 0) return { at: size, left: 0 }
  let left = lines
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - pieceBytes)
    const bytes = readBytes(path, start, end - start)
    for (let index = bytes.lastIndexOf(lineFeed); index >= 0; index = index === 0 ? -1 : bytes.lastIndexOf(lineFeed, index - 1)) {
      const at = start + index + 1
      if (isEnd && at === size) continue
      left--
      if (left === 0) return { at, left }
    }
    end = start
  }
  return { at: 0, left }
}
