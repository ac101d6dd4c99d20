import { type Sentence, told } from '../task/told.ts'
/** A value as a sentence shows it: short, on one line, without control characters, and never throwing. */
export const showValue = (value: unknown): Sentence => {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'bigint') return cut(`${value}n`)
  if (typeof value === 'function') return value.name ? told`a function (${cut(value.name)})` : told`a function`
  if (typeof value === 'symbol') return cut(String(value))
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return told`an array of ${value.length}`
  return className(value)
}

const className = (value: object): Sentence => {
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? told`an instance of ${cut(name)}` : told`an object`
}

/** In quotes that are closed also where it is cut. */
const quoted = (value: string) => {
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 76)}…"` : text
}

const cut = (text: string) => (text.length > 80 ? `${text.slice(0, 77)}…` : text)
