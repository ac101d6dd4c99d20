/**
 * Hides the password of each address in a text: `mysql://kim:[redacted]@db/shop`. One pass, linear.
 * @param mark what to put in its place
 */
export const hideUrlPasswords = (text: string, mark: (password: string) => string, reach: Reach = 'host'): string => {
  let shown = ''
  let from = 0
  for (const { start, end } of urlPasswords(text, reach)) {
    shown += text.slice(from, start) + mark(text.slice(start, end))
    from = end
  }
  return from === 0 ? text : shown + text.slice(from)
}

/** `host`: a password ends before the first / ? # or quote, as the standard has it. `word`: it may hold these too, and ends at the last `@` of the word. */
type Reach = 'host' | 'word'

/** Where passwords of addresses stand in a text: from the first colon after `://` to the last `@` within reach. */
export function* urlPasswords(text: string, reach: Reach = 'host'): Generator<{ start: number; end: number }> {
  const ends = reach === 'host' ? endsHost : endsWord
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', at + 3)) {
    const start = at + 3
    let colon = -1
    let last = -1
    let end = start
    let isUser = true
    for (; end < text.length && !ends(text.charCodeAt(end)); end++) {
      const code = text.charCodeAt(end)
      if (code === 0x3a && isUser) colon = end
      else if (code === 0x40) last = end
      if (code === 0x3a || code === 0x40 || code === 0x2f) isUser = false
    }
    if (colon >= 0 && last > colon + 1) yield { start: colon + 1, end: last }
    at = Math.max(at, end - 3)
  }
}

/** Quotes, / ? # and <>. */
const endsHost = (code: number) =>
  endsWord(code) || code === 0x22 || code === 0x27 || code === 0x2f || code === 0x3f || code === 0x23 || code === 0x3c || code === 0x3e

/** Spaces and control characters. */
const endsWord = (code: number) => code <= 0x20
