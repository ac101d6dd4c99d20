import { nearestNames } from '../task/nearest-names.ts'
import type { Parameter } from './command.ts'
import { fits } from './pattern.ts'

/**
 * Why a value may not be given for this parameter; goes on after its name. null: it may.
 * A text is refused when a program could take it for something else than a text: with a - first, empty, or with characters that are none.
 */
export const whyNoValue = (parameter: Parameter, value: unknown): string | null => {
  if (parameter.kind === 'flag') return typeof value === 'boolean' ? null : `is ${show(value)}; allowed are true and false`
  if (parameter.kind === 'whole') {
    const { least, most } = parameter
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most && !Object.is(value, -0)) return null
    return `is ${show(value)}; allowed are whole numbers from ${least} to ${most}`
  }
  if (typeof value !== 'string') return `is ${show(value)}; it must be a text`
  if (parameter.kind === 'choice') {
    if (parameter.values.includes(value)) return null
    const [nearest] = nearestNames(value.slice(0, 64), parameter.values)
    const known = `${parameter.values.slice(0, 20).join(', ')}${parameter.values.length > 20 ? ' and others' : ''}`
    return `is ${show(value)}; allowed are ${known}${nearest === undefined ? '' : `. Did you mean ${nearest}?`}`
  }
  const why = whyNoText(value, parameter.longest)
  if (why !== null) return why
  const fitting = fits(parameter.pattern, value)
  if (fitting === null)
    return `is ${show(value)}, and whether that is as ${parameter.pattern} says takes too long to find out; try another one`
  return fitting ? null : `is ${show(value)}; it must be as ${parameter.pattern} says`
}

/** The same of any text, whatever its pattern. */
export const whyNoText = (value: string, longest: number): string | null => {
  if (value === '') return 'is empty; give at least one character'
  if (value.length > longest) return `is ${value.length} characters long; allowed are ${longest}`
  if (value.startsWith('-')) return `is ${show(value)}; it may not begin with -, since the program could take it for an option`
  if (/[\p{Cc}\u2028\u2029]/u.test(value)) return `is ${show(value)}; line breaks, NUL and other control characters are not allowed`
  if (!value.isWellFormed()) return `is ${show(value)}; it has half a character, which is no text`
  return null
}

const show = (value: unknown): string => {
  const text =
    typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'a list' : 'an object') : (JSON.stringify(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
