import { harmless, harmlessJson } from '../texts/control-characters.ts'
import { formatDuration } from '../texts/format.ts'

/** Whatever is in the text, it cannot steer the terminal. */
export const print = (text: string): void => void process.stdout.write(`${harmless(text)}\n`)

/** What programs read: one JSON value. */
export const printJson = (value: unknown): void => void process.stdout.write(`${harmlessJson(JSON.stringify(value, null, 2))}\n`)

/** What goes on meanwhile: on stderr, so that it never mixes with data. */
export const note = (text: string): void => void process.stderr.write(`${harmless(text)}\n`)

/** `2026-11-21 08:00:07`, in the time zone of this machine. */
export const formatTime = (at: number): string => {
  const date = new Date(at)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}

export const formatTimeOrDash = (at: number | null): string => (at === null ? '-' : formatTime(at))

export const duration = (ms: number): string => formatDuration('en', ms)
