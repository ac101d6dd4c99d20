/** A value as a sentence shows it: short, on one line, without control characters, and never throwing. */
export const showValue = (value: unknown): string => {
  if (typeof value === 'string') return cut(JSON.stringify(value))
  if (typeof value === 'bigint') return cut(`${value}n`)
  if (typeof value === 'function') return cut(`a function${value.name ? ` (${value.name})` : ''}`)
  if (typeof value === 'symbol') return cut(String(value))
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  return cut(className(value))
}

const className = (value: object): string => {
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? `an instance of ${name}` : 'an object'
}

const cut = (text: string) => (text.length > 80 ? `${text.slice(0, 77)}...` : text)
