import type { ToldValue } from '../task/told.ts'
import type { Language } from './format.ts'
import { auditNotesZh, storedPartsZh, storedZh } from './stored-zh.ts'
import { tell } from './tell.ts'
import { toldZh } from './told-zh.ts'

/**
 * What was stored as text, in the reader's language. Sentences that bgtask itself stores are English in the database, for whoever reads it there;
 * a page knows them again by their pattern. What programs have stored stays as they wrote it.
 */
export const stored = (language: Language, text: ToldValue): string => {
  if (typeof text !== 'string') return tell(language, text, words => stored(language, words))
  if (language === 'en' || text.length > longest) return text
  return text
    .split('\n')
    .map(line => recognise(line, sentences(), parts()) ?? line)
    .join('\n')
}

/** What the audit notes beside an act: words of its own, or the sentence by which the act was refused. */
export const auditNote = (language: Language, text: string): string => {
  if (language === 'en' || text.length > longest) return text
  return recognise(text, refusals(), refusals()) ?? recognise(text, notes(), notes()) ?? text
}

/** Nothing that bgtask says is longer; what programs print may be. */
const longest = 4_000

interface Pattern {
  matches: RegExp
  text: string
}

const recognise = (text: string, patterns: readonly Pattern[], within: readonly Pattern[]): string | null => {
  for (const { matches, text: said } of patterns) {
    const found = matches.exec(text)
    if (!found) continue
    const value = (index: string) => {
      const part = found[Number(index) + 1]!
      return recognise(part, within, within) ?? part
    }
    return said.replace(/\{(\d+)\}/g, (_, index) => value(index))
  }
  return null
}

/** `{0}` stands for any words, `{0#}` for a number. Made when they are first needed. */
const patternsOf = (...all: Readonly<Record<string, string>>[]): (() => readonly Pattern[]) => {
  let made: Pattern[] | undefined
  return () => {
    made ??= all.flatMap(texts => Object.entries(texts)).map(([english, text]) => ({ matches: expressionOf(english), text }))
    return made
  }
}

const expressionOf = (english: string): RegExp => {
  const source = english
    .split(/(\{\d+#?\})/)
    .map(piece => (!/^\{\d+#?\}$/.test(piece) ? literally(piece) : piece.endsWith('#}') ? '([\\d.,]+)' : '(.+?)'))
  return new RegExp(`^${source.join('')}$`, 'u')
}

const literally = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

const sentences = patternsOf(storedZh)
const parts = patternsOf(storedPartsZh, storedZh)
const notes = patternsOf(auditNotesZh)
// A text with hardly a word of its own would fit anything.
const refusals = patternsOf(
  Object.fromEntries(Object.entries(toldZh).filter(([english]) => english.replace(/\{\d+\}|\W/g, '').length >= 6)),
)
