import { nearestNames } from '../task/nearest-names.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Parameter } from './command.ts'
import { fits } from './pattern.ts'

/**
 * Why a value may not be given for this parameter; goes on after its name. null: it may.
 * A text is refused when a program could take it for something else than a text: with a - first, empty, or with characters that are none.
 */
export const whyNoValue = (parameter: Parameter, value: unknown): Sentence | null => {
  if (parameter.kind === 'flag') return typeof value === 'boolean' ? null : told`is ${show(value)}; allowed are true and false`
  if (parameter.kind === 'whole') {
    const { least, most } = parameter
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most && !Object.is(value, -0)) return null
    return told`is ${show(value)}; allowed are whole numbers from ${least} to ${most}`
  }
  if (typeof value !== 'string') return told`is ${show(value)}; it must be a text`
  if (parameter.kind === 'choice') {
    if (parameter.values.includes(value)) return null
    const [nearest] = nearestNames(value.slice(0, 64), parameter.values)
    const known = told`${parameter.values.slice(0, 20).join(', ')}${parameter.values.length > 20 ? told` and others` : ''}`
    return told`is ${show(value)}; allowed are ${known}${nearest === undefined ? '' : told`. Did you mean ${nearest}?`}`
  }
  const why = whyNoText(value, parameter.longest)
  if (why !== null) return why
  const fitting = fits(parameter.pattern, value)
  if (fitting === null)
    return told`is ${show(value)}, and whether that is as ${parameter.pattern} says takes too long to find out; try another one`
  return fitting ? null : told`is ${show(value)}; it must be as ${parameter.pattern} says`
}

/** The same of any text, whatever its pattern. */
export const whyNoText = (value: string, longest: number): Sentence | null => {
  if (value === '') return told`is empty; give at least one character`
  if (value.length > longest) return told`is ${value.length} characters long; allowed are ${longest}`
  if (value.startsWith('-')) return told`is ${show(value)}; it may not begin with -, since the program could take it for an option`
  if (/[\p{Cc}\u2028\u2029]/u.test(value)) return told`is ${show(value)}; line breaks, NUL and other control characters are not allowed`
  if (!value.isWellFormed()) return told`is ${show(value)}; it has half a character, which is no text`
  return null
}

const show = (value: unknown): Sentence => {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? told`a list` : told`an object`
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 78)}…${text.startsWith('"') ? '"' : ''}` : text
}
