import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'

/** What a body of lines may take. Times are milliseconds. */
export const linesLimits = {
  /** Of one line; the same as of a whole body of JSON. */
  lineBytes: 256 * 1024,
  lines: 100_000,
  /** Without a byte from the other side. */
  idleMs: 30_000,
  /** After the answer, for one who goes on sending. */
  lingerMs: 5_000,
  /** Stored in one transaction. */
  atOnce: 500,
  /** Requests of lines at once: of one token, and of all. */
  perToken: 2,
  inAll: 8,
  /** Answers that wait for a reader before nothing more is read: most clients send all before they read. */
  waitingBytes: 4_000_000,
} as const

export interface Line {
  /** From 1 on, blank ones counted. */
  number: number
  /** null: it was read over, for the reason that `fault` has. */
  text: string | null
  fault: LineFault | null
}

/** Why a line has no text: it is longer than allowed, or no UTF-8. */
export type LineFault = 'too-long' | 'not-utf8'

/** Why no more is read. */
export type LinesFault = 'too-slow' | 'too-many'

/**
 * The lines of a body in pieces: as many as have come, at most `atOnce`. Blank ones are left out. A last line without its end counts when the body
 * has ended, and not when the connection broke.
 * @param first number of the first line
 * @throws LinesEnd when a limit is reached; an error when the connection broke
 */
export async function* readLines(body: IncomingMessage, first: number): AsyncGenerator<Line[]> {
  const chunks = body.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let number = first
  let pending: Line[] = []
  let held: Buffer[] = []
  let heldBytes = 0
  const take = (end: Buffer) => {
    const isTooLong = heldBytes + end.length > linesLimits.lineBytes
    const bytes = isTooLong ? Buffer.alloc(0) : Buffer.concat([...held, end])
    held = []
    heldBytes = 0
    const fault = isTooLong ? 'too-long' : isUtf8(bytes) ? null : 'not-utf8'
    const text = fault === null ? bytes.toString().replace(/\r$/, '') : null
    if (text === null || text.trim() !== '') pending.push({ number, text, fault })
    number++
  }
  for (;;) {
    const chunk = await nextWithin(chunks, linesLimits.idleMs)
    if (chunk === 'too-slow') throw new LinesEnd('too-slow', number)
    let from = 0
    for (let at = chunk?.indexOf(10) ?? -1; at >= 0; at = chunk!.indexOf(10, from)) {
      if (number - first >= linesLimits.lines) {
        if (pending.length > 0) yield pending
        throw new LinesEnd('too-many', number)
      }
      take(chunk!.subarray(from, at))
      from = at + 1
      if (pending.length >= linesLimits.atOnce) {
        yield pending
        pending = []
      }
    }
    if (chunk && from < chunk.length) {
      const rest = chunk.subarray(from)
      // What is too long is counted and not kept.
      if (heldBytes <= linesLimits.lineBytes) held.push(Buffer.from(rest))
      heldBytes += rest.length
    }
    if (!chunk && heldBytes > 0) take(Buffer.alloc(0))
    // More has come already: it goes into the same piece.
    if (chunk && body.readableLength > 0) continue
    if (pending.length > 0) {
      yield pending
      pending = []
    }
    if (!chunk) return
  }
}

export class LinesEnd extends Error {
  readonly fault: LinesFault
  /** The first that was not read. */
  readonly line: number
  constructor(fault: LinesFault, line: number) {
    super(fault)
    this.fault = fault
    this.line = line
  }
}

const nextWithin = async (chunks: AsyncIterator<Buffer>, ms: number): Promise<Buffer | null | 'too-slow'> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'too-slow'>(resolve => {
    timer = setTimeout(resolve, ms, 'too-slow')
  })
  try {
    const next = await Promise.race([chunks.next(), late])
    return next === 'too-slow' ? next : next.done ? null : next.value
  } finally {
    clearTimeout(timer)
  }
}
