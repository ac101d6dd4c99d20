/** Columns that a text takes in a terminal: wide characters (Chinese, Japanese, Korean, most emoji) take two, marks none. */
export const displayWidth = (text: string): number => {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment)
  return width
}

/** Padded or cut to exactly `width` columns; what is cut ends in an ellipsis. */
export const fit = (text: string, width: number, right = false): string => {
  const has = displayWidth(text)
  if (has <= width) return right ? ' '.repeat(width - has) + text : text + ' '.repeat(width - has)
  let kept = ''
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    const more = graphemeWidth(segment)
    if (used + more > width - 1) break
    kept += segment
    used += more
  }
  return `${kept}…${' '.repeat(width - used - 1)}`
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

const graphemeWidth = (grapheme: string): number => {
  if (/^(\p{Mn}|\p{Me}|\p{Cf})+$/u.test(grapheme)) return 0
  return wide.test(grapheme) ? 2 : 1
}

// East Asian Wide and Fullwidth of Unicode, in ranges, and emoji.
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u
