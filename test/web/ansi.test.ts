import assert from 'node:assert/strict'
import { Session } from 'node:inspector/promises'
import { type TestContext, test } from 'node:test'
import { ansiToHtml, freshAnsi } from '../../app/web/ansi.ts'
import { readStyled } from '../helpers/styled-text.ts'

test('colours become classes, and links only their text', () => {
  assert.equal(ansiToHtml('\x1b[31mred\x1b[0m plain'), '<span class="ansi-f1">red</span> plain')
  assert.equal(ansiToHtml('\x1b[1;92;44mx\x1b[22;39;49my'), '<span class="ansi-f10 ansi-b4 ansi-bold">x</span>y')
  assert.equal(ansiToHtml('\x1b[38;5;9mx\x1b[38;2;1;2;3my'), '<span class="ansi-f9">x</span><span class="ansi-f9">y</span>')
  assert.equal(ansiToHtml('\x9b31mx\x9bmy'), '<span class="ansi-f1">x</span>y')
  for (const link of [
    '\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\',
    '\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07',
    '\x9d8;;http://evil/\x9cclick',
  ]) {
    assert.equal(ansiToHtml(link), 'click')
  }
  assert.equal(ansiToHtml('\x1b[2J\x1b[Hclear\x1b[?25l\x1b(B\x1b7\x1bP1$q\x1b\\'), 'clear')
  assert.equal(ansiToHtml('10 %\r20 %\r\n'), '10 %\n20 %\n')
})

test('text is escaped, controls are removed, and what turns the direction is shown', () => {
  assert.equal(ansiToHtml(`<b onclick="x('&')">`), '&lt;b onclick=&quot;x(&#39;&amp;&#39;)&quot;&gt;')
  const controls = [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, index) => 0x7f + index)].filter(
    code => ![0x09, 0x0a, 0x0d].includes(code),
  )
  for (const code of controls)
    assert.doesNotMatch(ansiToHtml(`a${String.fromCharCode(code)}`), /[\0-\x08\x0b-\x1f\x7f-\x9f]/, code.toString(16))
  for (const mark of [
    '\u061c',
    '\u200e',
    '\u200f',
    '\u202a',
    '\u202b',
    '\u202c',
    '\u202d',
    '\u202e',
    '\u2066',
    '\u2067',
    '\u2068',
    '\u2069',
    '\u200b',
    '\ufeff',
  ]) {
    const code = mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')
    assert.equal(ansiToHtml(`a${mark}b`), `a<span class="ansi-mark">[U+${code}]</span>b`)
  }
  assert.equal(ansiToHtml('a\ud800b\udc00c'), 'a\ufffdb\ufffdc')
})

test('what comes in pieces reads like the whole: a line end, a character, a sequence cut in two', () => {
  for (const text of [
    '10 %\r20 %\r\n',
    'a😀b',
    '\x1b[31mred\x1b[0m',
    '\x1b]0;title\x1b\\shown',
    `\x1b]${'x'.repeat(4_200)}shown`,
    `\x1b(${' '.repeat(4_200)}shown`,
    `\x1b[${'1;'.repeat(2_100)}mshown`,
  ]) {
    const whole = readStyled(ansiToHtml(text))
    for (const cut of [
      ...Array(Math.min(40, text.length)).keys(),
      ...[4_093, 4_094, 4_095, 4_096, 4_097, 4_098, 4_099, 4_100].filter(at => at < text.length),
    ]) {
      const state = freshAnsi()
      const pieces = ansiToHtml(text.slice(0, cut), state) + ansiToHtml(text.slice(cut), state)
      assert.deepEqual(readStyled(pieces), whole, `${JSON.stringify(text.slice(0, 20))} cut at ${cut}`)
    }
    const state = freshAnsi()
    assert.deepEqual(readStyled([...Array(text.length).keys()].map(at => ansiToHtml(text[at]!, state)).join('')), whole)
  }
})

test('an escape that never ends hides nothing for long', () => {
  for (const start of ['\x1b]0;', '\x1b[', '\x1bP', '\x1b(', '\x9d']) {
    const rest = start === '\x1b(' ? ' ' : start === '\x1b[' ? '1' : 'x'
    const html = ansiToHtml(`${start}${rest.repeat(10_000)}visible`)
    assert.ok(html.endsWith('visible'), start)
    assert.ok(html.length > 5_000, start)
  }
})

test('work grows as the output does, however it is made', async t => {
  const workOf = await countSteps(t)
  const pieces = [
    '\x1b[',
    '\x1b]8;;',
    '\x1b[1;',
    '\x1bP',
    '\x1b(',
    '\x1b ',
    '\x1b',
    '\x9d',
    '\r',
    '<',
    '\x1b[31mx',
    '\u202e',
    '\ud800',
    'x',
    '\x1b[38;5;',
    '\x1b]x\x1b',
  ]
  for (const piece of pieces) {
    for (const tail of ['', '\x1b', '\x1b]']) {
      const [small, large] = [await workOf(piece.repeat(2_000) + tail), await workOf(piece.repeat(16_000) + tail)]
      assert.ok(small > 500, `${JSON.stringify(piece)}: only ${small} steps were counted`)
      assert.ok(large < small * 8 * 1.25 + 20_000, `${JSON.stringify(piece)}: ${small} steps, and for eight times as much ${large}`)
    }
  }
})

/** @returns counts the steps that ansi.ts takes: how often each of its blocks runs, told by the engine. No clock, so no noise. */
const countSteps = async (t: TestContext) => {
  const session = new Session()
  session.connect()
  t.after(() => session.disconnect())
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  // Blocks are counted in code that is compiled from here on, so it needs a copy of its own.
  const copy = new URL('../../app/web/ansi.ts?counted', import.meta.url).href
  const { ansiToHtml: counted } = (await import(copy)) as { ansiToHtml: typeof ansiToHtml }
  return async (text: string): Promise<number> => {
    await session.post('Profiler.takePreciseCoverage') // begins to count anew
    counted(text)
    const { result } = await session.post('Profiler.takePreciseCoverage')
    const own = result.filter(({ url }) => url === copy)
    return own
      .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges.map(({ count }) => count)))
      .reduce((total, count) => total + count, 0)
  }
}
