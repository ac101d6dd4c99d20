import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Place, type Redactor, withMarks } from '../secrets/redactor.ts'
import { goneBytes } from './printed-bytes.ts'
import { readBytes, sizeOf } from './read-output.ts'
import { runPaths } from './runtime-folder.ts'

/** What is kept of all that a run has printed; places are counted in bytes from the first that it printed, and stay when the output is rotated. */
export interface StoredExtent {
  /** The first that is kept. */
  from: number
  /** The one after the last. */
  to: number
}

/** A line, or a part of one that is longer than what is read at once. */
export interface StoredLine {
  /** Its place: that of its first byte. */
  at: number
  /** Without its line end, and without secrets. */
  text: string
}

export const storedExtent = (folder: string): StoredExtent => {
  const { gone, older, newer } = filesOf(folder)
  return { from: gone - older, to: gone + newer }
}

/**
 * The lines of a piece of both files, oldest first, as people may see them: what a line shows, and where it begins and ends, is the same wherever the
 * piece is cut. What was rotated away meanwhile is not there.
 * @param redactor made after the bytes were written
 * @param piece.ended nothing will be written any more; else what may be the beginning of a secret at the end of all is held back
 * @returns also from where to where the lines go: in a piece that begins within a line that line is left out, unless it is all there is
 */
export const readStoredLines = async (
  folder: string,
  redactor: Redactor,
  { from, to, ended }: StoredExtent & { ended: boolean },
): Promise<StoredExtent & { lines: StoredLine[] }> => {
  const margin = Math.max(leastMargin, redactor.longestBytes)
  const { bytes: window, at, extent } = await readStored(folder, from - margin, to + margin)
  const { places, pending } = redactor.find(window)
  const isEnd = at + window.length >= extent.to
  const last = Math.min(to - at, window.length - (isEnd && !ended ? pending : 0))
  let first = Math.max(0, from - at)
  if (first >= last) return { from: at + first, to: at + first, lines: [] }
  const ends = lineEnds(window, places)
  // It begins in the middle of a line, when what stands before it is no line end.
  if (at + first > extent.from && ends.next(first - 1) !== first - 1) {
    const next = ends.next(first)
    if (next >= 0 && next + 1 < last) first = next + 1
  }
  const lines: StoredLine[] = []
  for (let start = first; start < last; ) {
    const next = ends.next(start)
    const end = next < 0 || next >= last ? last : next
    lines.push({ at: at + start, text: textOf(window, ends.placesIn(start, end), start, end) })
    start = end + 1
  }
  return { from: at + first, to: at + last, lines }
}

/** Enough for what secrets usually are. */
const leastMargin = 4_096
const longestRotationMs = 2_000

const filesOf = (folder: string) => {
  const paths = runPaths(folder)
  return { gone: goneBytes(folder), older: sizeOf(paths.rotatedOutput), newer: sizeOf(paths.output) }
}

/** Read again when the files were changed meanwhile: then the bytes stand elsewhere. */
const readStored = async (folder: string, from: number, to: number): Promise<{ bytes: Buffer; at: number; extent: StoredExtent }> => {
  const paths = runPaths(folder)
  for (const since = performance.now(); ; ) {
    while (existsSync(paths.rotating) && performance.now() - since < longestRotationMs) await delay(5)
    const { gone, older, newer } = filesOf(folder)
    const extent = { from: gone - older, to: gone + newer }
    const start = Math.max(from, extent.from)
    const end = Math.max(start, Math.min(to, extent.to))
    const bytes = Buffer.concat([
      readBytes(paths.rotatedOutput, start - extent.from, Math.min(end, gone) - start),
      readBytes(paths.output, Math.max(start, gone) - gone, end - Math.max(start, gone)),
    ])
    const after = filesOf(folder)
    const isSame = after.gone === gone && after.older === older && bytes.length === end - start
    if (isSame || performance.now() - since >= longestRotationMs) return { bytes, at: start, extent }
  }
}

/** Finds line ends; one within a secret is none. */
const lineEnds = (window: Buffer, places: readonly Place[]) => {
  /** Index of the first that ends after `position`. */
  const placeAfter = (position: number): number => {
    let low = 0
    let high = places.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (places[middle]![1] > position) high = middle
      else low = middle + 1
    }
    return low
  }
  return {
    /** @returns -1: there is none */
    next(from: number): number {
      let end = window.indexOf(10, from)
      while (end >= 0) {
        const around = places[placeAfter(end)]
        if (around === undefined || around[0] > end) return end
        end = window.indexOf(10, around[1])
      }
      return -1
    },
    placesIn(start: number, end: number): readonly Place[] {
      if (places.length === 0) return places
      const first = placeAfter(start)
      let beyond = first
      while (beyond < places.length && places[beyond]![0] < end) beyond++
      return places.slice(first, beyond)
    },
  }
}

const textOf = (window: Buffer, places: readonly Place[], start: number, end: number): string => {
  const whole = end > start && window[end - 1] === 13 ? end - 1 : end
  return places.length === 0 ? window.toString('utf8', start, whole) : withMarks(window, places, start, whole, false).toString()
}
