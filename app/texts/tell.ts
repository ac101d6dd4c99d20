import { Told, type ToldValue } from '../task/told.ts'
import type { Language } from './format.ts'
import { toldZh } from './told-zh.ts'

/**
 * A sentence in the reader's language. What is not ours stays as it is, and what nobody has translated stays English.
 * @param others what becomes of words that are not ours, within one that is
 */
export const tell = (language: Language, sentence: ToldValue, others: (words: string) => string = words => words): string => {
  if (!(sentence instanceof Told)) return others(String(sentence))
  const text = language === 'en' ? sentence.key : (toldZh[sentence.key] ?? sentence.key)
  let said = ''
  for (const piece of text.split(/(\{\d+\})/)) {
    const place = /^\{(\d+)\}$/.exec(piece)
    // Chinese sentences follow one another without a space.
    if (!place) said += language === 'zh' && /[。；：！？，]$/.test(said) ? piece.replace(/^ /, '') : piece
    else said += tell(language, sentence.values[Number(place[1])]!, others)
  }
  return said
}
