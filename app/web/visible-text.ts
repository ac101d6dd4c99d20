import { ansiToHtml } from './ansi.ts'

/** A line as a page shows it, as text: what is searched is what is seen. */
export const visibleText = (line: string): string => {
  if (!hasControls(line)) return line
  const plain = line.replace(colours, '')
  return hasControls(plain) ? textOfHtml(ansiToHtml(line)) : plain
}

/** Puts `<mark>` around what was looked for in HTML of `ansiToHtml`, also where colours change within it. Nothing of `wanted` is written. */
export const markMatches = (html: string, wanted: string): string => {
  const text = textOfHtml(html)
  const lower = text.toLowerCase()
  const needle = wanted.toLowerCase()
  // Where lower case is longer than what it was made of, places in it say nothing.
  if (needle === '' || lower.length !== text.length) return html
  let marked = ''
  let at = 0
  let start = lower.indexOf(needle)
  const end = () => start + needle.length
  let isOpen = false
  const setOpen = (open: boolean) => {
    if (open !== isOpen) marked += open ? '<mark>' : '</mark>'
    isOpen = open
  }
  for (const [token] of html.matchAll(tokens)) {
    if (token[0] === '<') {
      setOpen(false)
      marked += token
      continue
    }
    if (start >= 0 && at >= end()) start = lower.indexOf(needle, end())
    setOpen(start >= 0 && at >= start)
    marked += token
    at += token[0] === '&' ? 1 : token.length
  }
  setOpen(false)
  return marked
}

// A sequence of colours as ansiToHtml reads it whole, which is nearly all that programs print.
const colours = /\u001b\[[\d;:]{0,200}m/g
const controls =
  /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/
const hasControls = (text: string) => controls.test(text)

// All that ansiToHtml writes: tags, these references, and single characters.
const tokens = /<[^>]*>|&(?:amp|lt|gt|quot|#39);|[^<&]/g
const references: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }
const textOfHtml = (html: string) => html.replace(/<[^>]*>|&(?:amp|lt|gt|quot|#39);/g, found => references[found] ?? '')
