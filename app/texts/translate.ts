import { en } from './en.ts'
import { choosePlural, formatBytes, formatDuration, formatExact, formatNumber, formatRelative, type Language } from './format.ts'
import { zh } from './zh.ts'

export type TextKey = keyof typeof en
export type TextValues = Record<string, string | number>

/** A piece of a sentence: words, an instant that a page can show as it goes by, or a task that a page can link to. */
export type TextPart = string | { at: number; exact?: true } | { task: string }

/**
 * The sentence in the reader's language. Places for values: `{n}` (numbers by locale), `{n:loop|loops}` (the word that fits the count),
 * `{ms, duration}`, `{n, bytes}`, `{at, time}` (relative: "12 seconds ago"), `{at, exact}` (the instant itself), `{id, task}` ("#12").
 */
export const translate = (language: Language, key: TextKey, values: TextValues = {}, now: number = Date.now()): string =>
  translateParts(language, key, values)
    .map(part => {
      if (typeof part === 'string') return part
      if ('task' in part) return `#${part.task}`
      return part.exact ? formatExact(language, part.at) : formatRelative(language, part.at, now)
    })
    .join('')

export const translateParts = (language: Language, key: TextKey, values: TextValues = {}): TextPart[] => {
  const text = texts[language][key] ?? en[key]
  if (text === undefined) throw new Error(`There is no text ${JSON.stringify(key)}: add it to app/texts/en.ts and zh.ts.`)
  const parts: TextPart[] = []
  let end = 0
  for (const found of text.matchAll(places)) {
    parts.push(text.slice(end, found.index))
    end = found.index + found[0].length
    const value = values[found[1]!]
    if (value === undefined) throw new Error(`The text ${JSON.stringify(key)} needs a value for ${JSON.stringify(found[1])}.`)
    parts.push(part(language, value, found[2], found[3]))
  }
  parts.push(text.slice(end))
  return parts.filter(piece => piece !== '')
}

/** The first language of an Accept-Language header that we speak. */
export const chooseLanguage = (header: string | undefined): Language => {
  const wanted = (header ?? '')
    .slice(0, 200)
    .split(',')
    .map(entry => {
      const [name = '', quality] = entry.trim().split(';q=')
      return { name: name.toLowerCase(), quality: quality === undefined ? 1 : Number(quality) || 0 }
    })
  wanted.sort((left, right) => right.quality - left.quality)
  for (const { name } of wanted) {
    if (name === 'zh' || name.startsWith('zh-')) return 'zh'
    if (name === 'en' || name.startsWith('en-')) return 'en'
  }
  return 'en'
}

const texts: Record<Language, Record<TextKey, string>> = { en, zh }
const places = /\{(\w+)(?::([^}]*)|, (duration|bytes|time|exact|task))?\}/g

const part = (language: Language, value: string | number, words: string | undefined, form: string | undefined): TextPart => {
  if (form === 'task') return { task: String(value) }
  if (typeof value === 'string') return value
  if (words !== undefined) return choosePlural(language, value, words.split('|'))
  if (form === 'duration') return formatDuration(language, value)
  if (form === 'bytes') return formatBytes(language, value)
  if (form === 'time') return { at: value }
  if (form === 'exact') return { at: value, exact: true }
  return formatNumber(language, value)
}
