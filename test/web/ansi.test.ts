import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ansiToHtml, freshAnsi } from '../../app/web/ansi.ts'

const runs = Number(process.env.BGTASK_FUZZ_RUNS ?? 20_000)
/** Text with everything a hostile program might print: escapes, controls, markup, directional marks, broken surrogates. */
const hostile = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          '\x1b[',
          '\x1b]',
          '\x1bP',
          '\x1b_',
          '\x9b',
          '\x9d',
          '\x1b',
          '\x07',
          '\x1b\\',
          '\x9c',
          'm',
          ';',
          '31',
          '0',
          '38;5;196',
          '48;2;1;2;3',
        ),
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          '<',
          '>',
          '&',
          '"',
          "'",
          '<script>',
          '</span>',
          'javascript:',
          '8;;http://evil/',
          '\n',
          '\r',
          '\t',
          '\0',
          '\u202e',
          '\u2066',
          '\u200b',
          '\ud800',
          '\udc00',
          '\ufeff',
        ),
      },
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 40 },
  )
  .map(pieces => pieces.join(''))

const allowedTag = /^<\/?span(?: class="(?:ansi-(?:[fb](?:\d|1[0-5])|bold|dim|italic|underline|inverse|mark) ?)+")?>$/

const assertHarmless = (html: string) => {
  const depth = { now: 0 }
  for (const tag of html.match(/<[^>]*>?/g) ?? []) {
    assert.match(tag, allowedTag)
    depth.now += tag.startsWith('</') ? -1 : 1
    // A mark may stand within a colour.
    assert.ok(depth.now >= 0 && depth.now <= 2)
  }
  assert.equal(depth.now, 0)
  const text = html.replace(/<[^>]*>/g, '')
  assert.doesNotMatch(text, /[\0-\x08\x0b-\x1f\x7f-\x9f]/)
  assert.doesNotMatch(text, /[<>"']/)
  assert.doesNotMatch(text, /&(?!amp;|lt;|gt;|quot;|#39;)/)
  assert.doesNotMatch(text, /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/)
  assert.ok(text.isWellFormed())
}

test('whatever is printed, nothing but classes of ours comes out', () => {
  fc.assert(
    fc.property(hostile, text => assertHarmless(ansiToHtml(text))),
    { numRuns: runs },
  )
})

test('cut anywhere, the pieces together are the whole', () => {
  const textOf = (html: string) => html.replace(/<[^>]*>/g, '')
  fc.assert(
    fc.property(hostile, fc.nat(200), (text, at) => {
      const cut = Math.min(at, text.length)
      // A pair of surrogates, or CR LF, is one character: the reader of the file does not cut there.
      fc.pre(!/[\ud800-\udbff\r]$/.test(text.slice(0, cut)))
      const state = freshAnsi()
      const pieces = ansiToHtml(text.slice(0, cut), state) + ansiToHtml(text.slice(cut), state)
      assertHarmless(pieces)
      assert.equal(textOf(pieces), textOf(ansiToHtml(text)))
    }),
    { numRuns: runs },
  )
})

test('colours become classes, and links only their text', () => {
  assert.equal(ansiToHtml('\x1b[31mred\x1b[0m plain'), '<span class="ansi-f1">red</span> plain')
  assert.equal(ansiToHtml('\x1b[1;92;44mx\x1b[22;39;49my'), '<span class="ansi-f10 ansi-b4 ansi-bold">x</span>y')
  assert.equal(ansiToHtml('\x1b[38;5;9mx\x1b[38;2;1;2;3my'), '<span class="ansi-f9">x</span><span class="ansi-f9">y</span>')
  assert.equal(ansiToHtml('\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\'), 'click')
  assert.equal(ansiToHtml('\x1b[2J\x1b[Hclear\x1b[?25l'), 'clear')
  assert.equal(ansiToHtml('10 %\r20 %\r\n'), '10 %\n20 %\n')
  assert.match(ansiToHtml('a\u202eb'), /a<span class="ansi-mark">\[U\+202E\]<\/span>b/)
})

test('an escape that never ends hides nothing for long, and time is linear', () => {
  assert.ok(ansiToHtml(`\x1b]0;${'x'.repeat(10_000)}visible`).endsWith('visible'))
  const time = (text: string) => {
    const from = performance.now()
    ansiToHtml(text)
    return performance.now() - from
  }
  for (const piece of ['\x1b[', '\x1b]8;;', '\x1b[1;', '\x1bP', '\r', '<', '\x1b[31mx']) {
    time(piece.repeat(20_000))
    const small = Math.max(2, time(piece.repeat(50_000)))
    const large = time(piece.repeat(400_000))
    assert.ok(large < small * 40, `${JSON.stringify(piece)}: ${small} ms, eight times as much ${large} ms`)
  }
})
