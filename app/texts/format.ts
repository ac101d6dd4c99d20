/** Languages of the panel. */
export const languages = ['en', 'zh'] as const
export type Language = (typeof languages)[number]

const locales = { en: 'en-GB', zh: 'zh-CN' } as const satisfies Record<Language, string>
const units = {
  en: { ms: ' ms', s: ' s', min: ' min', h: ' h', d: ' d', gap: ' ' },
  zh: { ms: ' 毫秒', s: ' 秒', min: ' 分', h: ' 小时', d: ' 天', gap: ' ' },
} as const satisfies Record<Language, object>

const cached = <Value>(make: (language: Language) => Value) => {
  const made = new Map<Language, Value>()
  return (language: Language): Value => {
    const found = made.get(language) ?? make(language)
    made.set(language, found)
    return found
  }
}
const numbers = cached(language => new Intl.NumberFormat(locales[language], { maximumFractionDigits: 1 }))
const relatives = cached(language => new Intl.RelativeTimeFormat(locales[language], { numeric: 'always' }))
const exacts = cached(language => new Intl.DateTimeFormat(locales[language], { dateStyle: 'medium', timeStyle: 'long', timeZone: 'UTC' }))
const plurals = cached(language => new Intl.PluralRules(locales[language]))

export const formatNumber = (language: Language, value: number): string => numbers(language).format(value)

/** Of 100: "99.9 %". */
export const formatPercent = (language: Language, value: number): string =>
  `${formatNumber(language, value)}${language === 'zh' ? '%' : ' %'}`

/** The instant in UTC; the page's script shows it in the reader's zone. */
export const formatExact = (language: Language, at: number): string => exacts(language).format(at)

/** "12 seconds ago", "in 3 minutes". */
export const formatRelative = (language: Language, at: number, now: number): string => {
  const seconds = Math.round((at - now) / 1000)
  const size = Math.abs(seconds)
  const format = relatives(language)
  if (size < 60) return format.format(seconds === 0 ? -0 : seconds, 'second')
  if (size < 3600) return format.format(Math.round(seconds / 60), 'minute')
  if (size < 86_400) return format.format(Math.round(seconds / 3600), 'hour')
  return format.format(Math.round(seconds / 86_400), 'day')
}

/** "850 ms", "4.2 s", "3 min 5 s", "2 h 4 min", "5 d 3 h". */
export const formatDuration = (language: Language, ms: number): string => {
  const unit = units[language]
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}${unit.ms}`
  if (ms < 60_000) return `${numbers(language).format(Math.round(ms / 100) / 10)}${unit.s}`
  const { format } = numbers(language)
  const two = (large: number, largeUnit: string, small: number, smallUnit: string) =>
    small === 0 ? `${format(large)}${largeUnit}` : `${format(large)}${largeUnit}${unit.gap}${small}${smallUnit}`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return two(Math.floor(seconds / 60), unit.min, seconds % 60, unit.s)
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return two(Math.floor(minutes / 60), unit.h, minutes % 60, unit.min)
  const hours = Math.round(minutes / 60)
  return two(Math.floor(hours / 24), unit.d, hours % 24, unit.h)
}

/** "512 B", "1.5 kB", "50 MB". */
export const formatBytes = (language: Language, bytes: number): string => {
  const steps = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let step = 0
  while (value >= 1000 && step < steps.length - 1) {
    value /= 1000
    step++
  }
  return `${numbers(language).format(value)} ${steps[step]}`
}

/** Which of the words fits the count; the last one serves for all others. */
export const choosePlural = (language: Language, count: number, words: readonly string[]): string =>
  plurals(language).select(count) === 'one' ? words[0]! : words.at(-1)!
