import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { readBytes, sizeOf } from '../runs/read-output.ts'
import type { runPaths } from '../runs/runtime-folder.ts'
import { createRedactingStream } from '../secrets/redacting-stream.ts'
import type { Redactor } from '../secrets/redactor.ts'

/**
 * The output of a run as it was printed, but for its secrets; one of its two files. A value that lies across both is hidden in both.
 * @param ended false: the end waits, as long as it may be the beginning of a value
 */
export const outputDownload = (
  paths: ReturnType<typeof runPaths>,
  part: 'newer' | 'older',
  redactor: () => Redactor,
  ended: boolean,
): Readable => Readable.from(pieces(paths, part, redactor, ended), { objectMode: false })

async function* pieces(paths: ReturnType<typeof runPaths>, part: 'newer' | 'older', redactor: () => Redactor, ended: boolean) {
  const around = Math.max(leastAround, redactor().longestBytes)
  const before =
    part === 'newer' ? readBytes(paths.rotatedOutput, Math.max(0, sizeOf(paths.rotatedOutput) - around), around) : Buffer.alloc(0)
  const stream = createRedactingStream(redactor, before)
  for await (const piece of createReadStream(part === 'newer' ? paths.output : paths.rotatedOutput, { highWaterMark: 262_144 })) {
    const shown = stream.push(piece as Buffer)
    if (shown.length > 0) yield shown
  }
  if (part === 'newer' && !ended) return
  const rest = stream.end(part === 'older' ? readBytes(paths.output, 0, around) : undefined)
  if (rest.length > 0) yield rest
}

/** Bytes of the other file that are looked at: enough for what secrets usually are. */
const leastAround = 4_096
