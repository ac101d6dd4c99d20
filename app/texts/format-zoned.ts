import type { Language } from './format.ts'

/**
 * A moment as a clock in that zone shows it, with its distance from UTC, so that the two days on which clocks are set can be told apart:
 * `Sun, 2026-10-25 02:30 +02:00`.
 */
export const formatZoned = (language: Language, at: number, timeZone: string): string => {
  const key = `${language} ${timeZone}`
  const format = formats.get(key) ?? formatOf(language, timeZone)
  formats.set(key, format)
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  const offset = part.timeZoneName === 'GMT' ? '+00:00' : part.timeZoneName!.replace('GMT', '')
  const day = `${part.year}-${part.month}-${part.day}`
  const time = `${part.hour}:${part.minute}${part.second === '00' ? '' : `:${part.second}`}`
  return `${part.weekday}${language === 'zh' ? ' ' : ', '}${day} ${time} ${offset}`
}

const formatOf = (language: Language, timeZone: string) =>
  new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-GB', {
    timeZone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'longOffset',
  })

const formats = new Map<string, Intl.DateTimeFormat>()
