/** Colours in force between two pieces of one output. */
export interface AnsiState {
  foreground: number | null
  background: number | null
  bold: boolean
  dim: boolean
  italic: boolean
  underline: boolean
  inverse: boolean
  /** The beginning of what ends in the next piece: an escape sequence, a line end, a character of two halves. */
  held: string
}
export const freshAnsi = (): AnsiState => ({
  foreground: null,
  background: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
  held: '',
})

/**
 * Output of a run as HTML. Output is hostile: text is escaped, the 16 colours become classes, every other escape sequence and control
 * character is removed, no link is made, and characters that turn the reading direction are shown as what they are. One pass, linear.
 * @param state carried from piece to piece of the same output; changed in place
 */
export const ansiToHtml = (text: string, state: AnsiState = freshAnsi()): string => {
  const input = state.held + text
  state.held = ''
  let html = ''
  let run = ''
  const flush = () => {
    if (run === '') return
    const names = classNames(state)
    html += names === '' ? run : `<span class="${names}">${run}</span>`
    run = ''
  }
  let index = 0
  while (index < input.length) {
    const code = input.charCodeAt(index)
    if (code === escapeCode || code === csiC1 || isStringC1(code)) {
      const sequence = readSequence(input, index)
      if (sequence === null) {
        state.held = input.slice(index)
        break
      }
      if (sequence.colours !== null) {
        flush()
        applyColours(state, sequence.colours)
      }
      index = sequence.end
      continue
    }
    // What the next character makes of it is not known yet.
    if (index + 1 === input.length && (code === carriageReturn || isHigh(code))) {
      state.held = input[index]!
      break
    }
    const length = isHigh(code) && isLow(input.charCodeAt(index + 1)) ? 2 : 1
    run += length === 2 ? input.slice(index, index + 2) : visible(input, index, code)
    index += length
  }
  flush()
  return html
}

const escapeCode = 0x1b
const csiC1 = 0x9b
const carriageReturn = 0x0d
/** A sequence is cut after this many characters, so that it cannot hide the rest; where it is cut into pieces makes no difference. */
const longest = 4096
/** DCS, SOS, OSC, PM and APC as single characters. */
const isStringC1 = (code: number) => code === 0x90 || code === 0x98 || code === 0x9d || code === 0x9e || code === 0x9f

/** @returns null when the input ends before the sequence does */
const readSequence = (input: string, start: number): Sequence | null => {
  const limit = start + longest
  const first = input.charCodeAt(start)
  if (first === csiC1) return readCsi(input, start + 1, limit)
  if (isStringC1(first)) return readString(input, start + 1, limit)
  const kind = input[start + 1]
  if (kind === undefined) return null
  if (kind === '[') return readCsi(input, start + 2, limit)
  if (kind === ']' || kind === 'P' || kind === 'X' || kind === '^' || kind === '_') return readString(input, start + 2, limit)
  if (kind >= ' ' && kind <= '/') return readCharacterSet(input, start + 2, limit)
  return { end: kind >= '0' && kind <= '~' ? start + 2 : start + 1, colours: null }
}

interface Sequence {
  end: number
  /** Parameters of SGR; null for every other sequence. */
  colours: string | null
}

const readCharacterSet = (input: string, start: number, limit: number): Sequence | null => {
  for (let index = start; index < limit; index++) {
    const kind = input[index]
    if (kind === undefined) return null
    if (kind < ' ' || kind > '/') return { end: kind >= '0' && kind <= '~' ? index + 1 : index, colours: null }
  }
  return { end: limit, colours: null }
}

const readCsi = (input: string, start: number, limit: number): Sequence | null => {
  for (let index = start; index < limit; index++) {
    if (index >= input.length) return null
    const code = input.charCodeAt(index)
    if (code >= 0x40 && code <= 0x7e) return { end: index + 1, colours: input[index] === 'm' ? input.slice(start, index) : null }
    // Anything but parameters ends it early: what follows is text again.
    if (code < 0x20 || code > 0x3f) return { end: index, colours: null }
  }
  return { end: limit, colours: null }
}

/** Operating system commands and their like, up to BEL, ST or the end of the line. */
const readString = (input: string, start: number, limit: number): Sequence | null => {
  for (let index = start; index < limit; index++) {
    if (index >= input.length) return null
    const code = input.charCodeAt(index)
    if (code === 0x07 || code === 0x9c) return { end: index + 1, colours: null }
    if (code === 0x0a) return { end: index, colours: null }
    if (code === escapeCode) {
      if (index + 1 >= input.length) return null
      return { end: input[index + 1] === '\\' ? index + 2 : index, colours: null }
    }
  }
  return { end: limit, colours: null }
}

const applyColours = (state: AnsiState, parameters: string) => {
  const codes = parameters.slice(0, 200).split(/[;:]/).map(Number)
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index]!
    if (code === 0) Object.assign(state, freshAnsi())
    else if (code === 1) state.bold = true
    else if (code === 2) state.dim = true
    else if (code === 3) state.italic = true
    else if (code === 4) state.underline = true
    else if (code === 7) state.inverse = true
    else if (code === 22) state.bold = state.dim = false
    else if (code === 23) state.italic = false
    else if (code === 24) state.underline = false
    else if (code === 27) state.inverse = false
    else if (code >= 30 && code <= 37) state.foreground = code - 30
    else if (code >= 90 && code <= 97) state.foreground = code - 82
    else if (code === 39) state.foreground = null
    else if (code >= 40 && code <= 47) state.background = code - 40
    else if (code >= 100 && code <= 107) state.background = code - 92
    else if (code === 49) state.background = null
    else if (code === 38 || code === 48) {
      // 256 colours and true colour: of these only the first 16 have a class.
      const colour = codes[index + 1] === 5 ? codes[index + 2]! : Number.NaN
      if (colour >= 0 && colour < 16) state[code === 38 ? 'foreground' : 'background'] = colour
      index += codes[index + 1] === 5 ? 2 : codes[index + 1] === 2 ? 4 : 0
    }
  }
}

const classNames = (state: AnsiState): string => {
  const names: string[] = []
  if (state.foreground !== null) names.push(`ansi-f${state.foreground}`)
  if (state.background !== null) names.push(`ansi-b${state.background}`)
  for (const name of ['bold', 'dim', 'italic', 'underline', 'inverse'] as const) if (state[name]) names.push(`ansi-${name}`)
  return names.join(' ')
}

const visible = (input: string, index: number, code: number): string => {
  switch (code) {
    case 0x26:
      return '&amp;'
    case 0x3c:
      return '&lt;'
    case 0x3e:
      return '&gt;'
    case 0x22:
      return '&quot;'
    case 0x27:
      return '&#39;'
    case 0x0a:
    case 0x09:
      return input[index]!
    case carriageReturn:
      // A progress line that is written over itself: show each state on a line of its own.
      return input.charCodeAt(index + 1) === 0x0a ? '' : '\n'
  }
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return ''
  if (isDirectional(code)) return `<span class="ansi-mark">[U+${code.toString(16).toUpperCase().padStart(4, '0')}]</span>`
  // Half a pair: the other half is not there.
  if (code >= 0xd800 && code <= 0xdfff) return '\ufffd'
  return input[index]!
}

const isHigh = (code: number) => code >= 0xd800 && code <= 0xdbff
const isLow = (code: number) => code >= 0xdc00 && code <= 0xdfff

const isDirectional = (code: number) =>
  code === 0x061c ||
  (code >= 0x200b && code <= 0x200f) ||
  (code >= 0x202a && code <= 0x202e) ||
  (code >= 0x2060 && code <= 0x206f) ||
  code === 0xfeff
