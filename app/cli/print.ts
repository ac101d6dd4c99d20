import { formatDuration } from '../texts/format.ts'

export const print = (text: string): void => void process.stdout.write(`${text}\n`)

/** What programs read: one JSON value. */
export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2))

/** What goes on meanwhile: on stderr, so that it never mixes with data. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`)

/** `2026-11-21 08:00:07`, in the time zone of this machine. */
export const formatTime = (at: number): string => {
  const date = new Date(at)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}

export const formatTimeOrDash = (at: number | null): string => (at === null ? '-' : formatTime(at))

export const duration = (ms: number): string => formatDuration('en', ms)
