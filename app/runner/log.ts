import { messageOf } from '../errors.ts'

/** What a line may carry besides its text. */
export type LogFields = Readonly<Record<string, unknown>>

/** Prints one line: time, level, text, then `key=value` for each field. */
export interface Log {
  (text: string, fields?: LogFields): void
  warn(text: string, fields?: LogFields): void
  error(text: string, fields?: LogFields): void
}

export const createLog = (): Log =>
  Object.assign((text: string, fields?: LogFields) => console.log(line('INFO', text, fields)), {
    warn: (text: string, fields?: LogFields) => console.log(line('WARN', text, fields)),
    error: (text: string, fields?: LogFields) => console.error(line('ERROR', text, fields)),
  })

const line = (level: string, text: string, fields: LogFields = {}) =>
  [new Date().toISOString(), level, oneLine(String(text)), ...Object.entries(fields).map(([key, value]) => `${key}=${show(value)}`)].join(
    ' ',
  )

const show = (value: unknown): string => {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  if (value instanceof Error) return JSON.stringify(messageOf(value))
  if (typeof value === 'object' && value !== null) return json(value)
  return String(value)
}

const json = (value: object) => {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch (error) {
    return JSON.stringify(`(cannot be shown: ${messageOf(error)})`)
  }
}

// One call, one line: what follows a line break is moved in, so that it cannot pass for a line of its own.
const oneLine = (text: string) => text.replace(/\r?\n/g, '\n  ')
