import { harmless, harmlessJson } from '../texts/control-characters.ts'
import { formatDuration } from '../texts/format.ts'

/** Whatever is in the text, it cannot steer the terminal. */
export const print = (text: string): void => void process.stdout.write(`${harmless(text)}\n`)

/** What programs read: one JSON value. */
export const printJson = (value: unknown): void => void process.stdout.write(`${harmlessJson(JSON.stringify(value, null, 2))}\n`)

/** What goes on meanwhile: on stderr, so that it never mixes with data. */
export const note = (text: string): void => void process.stderr.write(`${harmless(text)}\n`)

/** `2026-11-21 08:00:07 +01:00`, in the time zone of this machine: whoever copies it into a mail need not say which. */
export const formatTime = (at: number): string => {
  const date = new Date(at)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  const ahead = -date.getTimezoneOffset()
  const zone = `${ahead < 0 ? '-' : '+'}${two(Math.trunc(Math.abs(ahead) / 60))}:${two(Math.abs(ahead) % 60)}`
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')} ${zone}`
}

export const formatTimeOrDash = (at: number | null): string => (at === null ? '-' : formatTime(at))

export const duration = (ms: number): string => formatDuration('en', ms)
