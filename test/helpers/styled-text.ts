import assert from 'node:assert/strict'

/** Text and the classes it stands in, runs of the same classes joined. */
export type StyledText = { classes: string; text: string }[]

const entities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }
const spanOpen =
  /^<span class="((?:ansi-(?:f(?:\d|1[0-5])|b(?:\d|1[0-5])|bold|dim|italic|underline|inverse|mark))(?: ansi-(?:b(?:\d|1[0-5])|bold|dim|italic|underline|inverse))*)">/
/** What is neither a tag nor an entity, up to the next of these. */
const plain = /[^<&]+/y
const entity = /^&(?:amp|lt|gt|quot|#39);/

/**
 * Reads HTML as ansiToHtml writes it, from its first character to its last, and accepts nothing else: no tag but span, no attribute but class, no class
 * that is not on the list, no bare markup, no control, no mark that turns the direction.
 * @throws AssertionError naming the first thing that should not be there
 */
export const readStyled = (html: string): StyledText => {
  const runs: StyledText = []
  const open: string[] = []
  let at = 0
  while (at < html.length) {
    const character = html[at]!
    if (character === '<') {
      const rest = html.slice(at, at + 200)
      const opened = spanOpen.exec(rest)
      if (opened) {
        open.push(opened[1]!)
        // A mark may stand within a colour, and nothing in a mark.
        assert.ok(open.length <= 2 && open[0] !== 'ansi-mark' ? true : open.length === 1, `spans nest: ${open}`)
        if (open.length === 2) assert.equal(open[1], 'ansi-mark')
        at += opened[0].length
        continue
      }
      assert.ok(rest.startsWith('</span>'), `a tag that is not on the list: ${JSON.stringify(rest.slice(0, 60))}`)
      assert.ok(open.pop() !== undefined, 'an end without a beginning')
      at += 7
      continue
    }
    let text: string
    if (character === '&') {
      const found = entity.exec(html.slice(at, at + 6))
      assert.ok(found, `an entity that is not on the list: ${JSON.stringify(html.slice(at, at + 20))}`)
      text = entities[found[0]]!
      at += found[0].length
    } else {
      plain.lastIndex = at
      text = plain.exec(html)![0]
      const wrong = text.search(forbidden)
      assert.equal(wrong, -1, `U+${text.charCodeAt(wrong).toString(16)} at ${at + wrong}`)
      at += text.length
    }
    const classes = open.join(' > ')
    const last = runs.at(-1)
    if (last?.classes === classes) last.text += text
    else runs.push({ classes, text })
  }
  assert.deepEqual(open, [], 'a span that is not closed')
  assert.ok(html.isWellFormed(), 'half of a character')
  return runs
}

/** Bare markup, controls (but for line end and tab), and what turns the reading direction or cannot be seen. */
const forbidden = /[>"'\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/
