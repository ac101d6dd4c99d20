import type { Redactor } from './redactor.ts'

/** Hides values in bytes that come piece by piece, also those that lie across several pieces. */
export interface RedactingStream {
  /** @returns what can be shown by now; what may be the beginning of a value is held back */
  push(bytes: Uint8Array): Buffer
  /** @returns the rest @param following what stands after it and is not shown. Default: nothing */
  end(following?: Uint8Array): Buffer
}

/**
 * @param redactor asked for at each piece, since more values may have become known
 * @param before what stands before the first piece and is not shown
 */
export const createRedactingStream = (redactor: () => Redactor, before: Uint8Array = new Uint8Array()): RedactingStream => {
  // What was shown last, in which a value may have begun; then what is held back.
  let kept = Buffer.from(before)
  let shownUpTo = kept.length
  let continued = false
  const next = (bytes: Uint8Array, end: { following: Uint8Array } | null): Buffer => {
    const known = redactor()
    const window = Buffer.concat([kept, bytes, ...(end ? [end.following] : [])])
    const piece = known.piece(window, { from: shownUpTo, continued, ended: end !== null, ...(end ? { to: kept.length } : {}) })
    const start = Math.max(0, piece.to - Math.max(known.longestBytes, leastKept))
    kept = Buffer.from(window.subarray(start))
    shownUpTo = piece.to - start
    continued ||= piece.to > 0 && piece.bytes.length > 0
    return piece.bytes
  }
  return {
    push: bytes => next(bytes, null),
    end: (following = new Uint8Array()) => next(new Uint8Array(), { following }),
  }
}

/** A value that becomes known later may be longer than those known now. */
const leastKept = 4_096
