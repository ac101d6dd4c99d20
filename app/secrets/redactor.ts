/** What stands where a secret was. */
export const marker = '[redacted]'

/** Values that are shorter are not looked for: they would be found everywhere. */
export const leastLength = 6

/** Finds given values in text and bytes and puts a mark in their place. Takes time in proportion to the text, whatever the values are. */
export interface Redactor {
  /** Of the longest value; 0 when there is none. What lies further apart has nothing to do with each other. */
  readonly longestBytes: number
  /** @param mark what to put in the place of what was found. Default: `[redacted]` */
  text(text: string, mark?: (found: string) => string): string
  piece(window: Uint8Array, piece?: PieceOptions): RedactedPiece
  /** Where values stand in the window, in order and apart from each other, and how many bytes at its end may be the beginning of one. */
  find(window: Uint8Array): { places: readonly Place[]; pending: number }
}

/** From its first byte to the one after its last. */
export type Place = readonly [start: number, end: number]

/** A piece of something longer, with what lies before and after it as far as it is known: a value may lie across the borders. */
export interface PieceOptions {
  /** The piece begins here; what lies before was shown already, or is not wanted. Default 0. */
  from?: number
  /** The piece ends here. Default: with the window. */
  to?: number
  /** What lies before `from` was shown by the piece before this one, its marks included. Default false. */
  continued?: boolean
  /** Nothing will follow the window. Default true; else what may be the beginning of a value is held back. */
  ended?: boolean
}

export interface RedactedPiece {
  bytes: Buffer
  /** Up to where of the window it goes: `to`, or less when something is held back. */
  to: number
}

/** @param values as they are; other ways to write them are listed by `formsOf`. Short ones are left out. */
export const createRedactor = (values: Iterable<string>): Redactor => {
  const patterns = [...new Set(values)].filter(value => value.length >= leastLength).map(value => Buffer.from(value))
  if (patterns.length === 0) return nothingHidden
  const search = buildSearch(patterns)
  const longestBytes = Math.max(...patterns.map(({ length }) => length))
  const piece: Redactor['piece'] = (window, { from = 0, to = window.length, continued = false, ended = true } = {}) => {
    const { places, pending } = search(window)
    const end = Math.max(from, ended ? to : Math.min(to, window.length - pending))
    return { bytes: withMarks(window, places, from, end, continued), to: end }
  }
  return {
    longestBytes,
    piece,
    find: search,
    text(text, mark = () => marker) {
      const bytes = Buffer.from(text)
      const { places } = search(bytes)
      if (places.length === 0) return text
      let shown = ''
      let from = 0
      for (const [start, end] of places) {
        shown += bytes.toString('utf8', from, start) + mark(bytes.toString('utf8', start, end))
        from = end
      }
      return shown + bytes.toString('utf8', from)
    },
  }
}

const nothingHidden: Redactor = {
  longestBytes: 0,
  text: text => text,
  piece: (window, { from = 0, to = window.length } = {}) => ({ bytes: Buffer.from(window.subarray(from, to)), to }),
  find: () => ({ places: [], pending: 0 }),
}

const markerBytes = Buffer.from(marker)

/** The window from `from` to `to` with marks at these places. @param continued what lies before `from` was shown, its marks included */
export const withMarks = (window: Uint8Array, places: readonly Place[], from: number, to: number, continued: boolean): Buffer => {
  const parts: Uint8Array[] = []
  let at = from
  for (const [start, end] of places) {
    if (end <= from) continue
    if (start >= to) break
    if (start > at) parts.push(window.subarray(at, start))
    if (start >= from || !continued) parts.push(markerBytes)
    at = Math.min(end, to)
  }
  if (at < to) parts.push(window.subarray(at, to))
  return Buffer.concat(parts)
}

/**
 * Aho and Corasick's search, over bytes: one step for each byte, however many values there are and whatever is in them.
 * @returns of a window the places where values stand, those that overlap as one, and how many bytes at its end may be the beginning of a value
 */
const buildSearch = (patterns: readonly Buffer[]): ((window: Uint8Array) => { places: Place[]; pending: number }) => {
  const size = patterns.reduce((sum, { length }) => sum + length, 1)
  const byteOf = new Uint8Array(size)
  const firstChild = new Int32Array(size)
  const nextSibling = new Int32Array(size)
  const depth = new Int32Array(size)
  /** The longest beginning of a value that is also the end of what leads here. */
  const fallback = new Int32Array(size)
  /** Length of the longest value that ends here. */
  const found = new Int32Array(size)
  const root = new Int32Array(256)
  let nodes = 1

  const childOf = (node: number, byte: number) => {
    if (node === 0) return root[byte]!
    let child = firstChild[node]!
    while (child !== 0 && byteOf[child] !== byte) child = nextSibling[child]!
    return child
  }
  for (const pattern of patterns) {
    let node = 0
    for (const byte of pattern) {
      let child = childOf(node, byte)
      if (child === 0) {
        child = nodes++
        byteOf[child] = byte
        depth[child] = depth[node]! + 1
        if (node === 0) root[byte] = child
        else {
          nextSibling[child] = firstChild[node]!
          firstChild[node] = child
        }
      }
      node = child
    }
    found[node] = pattern.length
  }
  const step = (from: number, byte: number) => {
    let node = from
    for (;;) {
      const child = childOf(node, byte)
      if (child !== 0 || node === 0) return child
      node = fallback[node]!
    }
  }
  // From the root outwards, so that what is shorter is known first.
  const queue = root.filter(node => node !== 0)
  const waiting = new Int32Array(size)
  waiting.set(queue)
  for (let read = 0, end = queue.length; read < end; read++) {
    const node = waiting[read]!
    for (let child = firstChild[node]!; child !== 0; child = nextSibling[child]!) {
      fallback[child] = step(fallback[node]!, byteOf[child]!)
      found[child] = Math.max(found[child]!, found[fallback[child]!]!)
      waiting[end++] = child
    }
  }

  return window => {
    const places: Place[] = []
    let node = 0
    for (let index = 0; index < window.length; index++) {
      node = node === 0 ? root[window[index]!]! : step(node, window[index]!)
      if (found[node] === 0) continue
      const end = index + 1
      let start = end - found[node]!
      while (places.length > 0 && places.at(-1)![1] > start) start = Math.min(start, places.pop()![0])
      places.push([start, end])
    }
    return { places, pending: depth[node]! }
  }
}
