/** Text of others on one line: line ends become spaces, and nothing in it can steer a terminal or pass for a line of its own. */
export const oneLine = (text: string): string =>
  withoutSequences(text)
    .replace(/[ \t]*[\r\n\u2028\u2029]+[ \t]*/g, ' ')
    .replace(steering, '\ufffd')

/** The same over several lines. */
export const harmless = (text: string): string =>
  withoutSequences(text)
    .replace(/\r\n/g, '\n')
    .replace(steering, found => (found === '\n' || found === '\t' ? found : '\ufffd'))

/** JSON as it is, but with control characters that JSON would let through written as escapes. */
export const harmlessJson = (json: string): string =>
  json.replace(
    /[\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g,
    found => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** The beginning of a sequence at the end of a piece, whose rest is in the next one; empty when there is none. */
export const heldSequence = (text: string): string => /(?:\u001b(?:\[[0-?]{0,64}[ -/]{0,8})?|\r)$/.exec(text)?.[0] ?? ''

// Colours and moves of the cursor say nothing without their effect; whatever else begins with ESC is shown as a mark.
const withoutSequences = (text: string) => (text.includes('\u001b') ? text.replace(/\u001b\[[0-?]{0,64}[ -/]{0,8}[@-~]/g, '') : text)

// Control characters of ASCII and Latin-1, and those that turn the direction of writing.
const steering = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
