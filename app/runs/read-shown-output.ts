import type { Redactor } from '../secrets/redactor.ts'
import { afterFirstLine, brokenTail, type OutputPiece, readBytes, sizeOf } from './read-output.ts'
import { runPaths } from './runtime-folder.ts'

/**
 * A piece of output as people may see it: like `readOutput`, but with no part of a value that the redactor knows, wherever the piece begins or ends.
 * While the run lives, what may be the beginning of a value is held back: `to` is less than what was read.
 * @param redactor made after the bytes were written: what an action prints it has registered before. So it is asked for after the read.
 * @param options.continued the reader has shown what lies before `from`
 */
export const readShownOutput = (
  folder: string,
  redactor: () => Redactor,
  {
    from,
    to,
    maxBytes = 262_144,
    ended,
    continued = false,
  }: { from?: number; to?: number; maxBytes?: number; ended: boolean; continued?: boolean },
): OutputPiece => {
  const paths = runPaths(folder)
  const size = sizeOf(paths.output)
  const rotatedSize = sizeOf(paths.rotatedOutput)
  const start = from === undefined ? Math.max(0, size - maxBytes) : from > size ? 0 : from
  const end = Math.min(size, start + maxBytes, to ?? size)
  // Read twice when it turns out that a value is longer than what was read around the piece.
  for (let margin = leastMargin; ; ) {
    const before = Math.min(start, margin)
    const older = rotatedSize > 0 && before < margin ? Math.min(rotatedSize, margin - before) : 0
    const window = Buffer.concat([
      readBytes(paths.rotatedOutput, rotatedSize - older, older),
      readBytes(paths.output, start - before, before + Math.min(end + margin, size) - start),
    ])
    const known = redactor()
    if (known.longestBytes > margin) {
      margin = known.longestBytes
      continue
    }
    const first = older + before
    const last = Math.min(window.length, first + end - start)
    const shown = known.piece(window, { from: first, to: last, continued, ended })
    const whole = shown.bytes.subarray(0, shown.bytes.length - brokenTail(shown.bytes))
    const broken = shown.bytes.length - whole.length
    const text = new TextDecoder().decode(start > 0 && from === undefined ? afterFirstLine(whole) : whole)
    return { text, from: start, to: start + shown.to - first - broken, size, rotated: rotatedSize > 0 }
  }
}

/** Enough for what secrets usually are. */
const leastMargin = 4_096
