import { told } from '../task/told.ts'
import type { Parameter, Value } from './command.ts'
import { WrongEntry } from './wrong-entry.ts'

/** One argument: literal texts, and parameters between them. */
export type Template = readonly (string | { parameter: string })[]

/** @throws WrongEntry when a brace has no partner, or names nothing */
export const parseTemplate = (text: string): Template => {
  const parts: (string | { parameter: string })[] = []
  let literal = ''
  for (let rest = text; rest !== ''; ) {
    const double = /^(\{\{|\}\})/.exec(rest)
    const named = double ? null : /^\{([^{}]*)\}/.exec(rest)
    if (named) {
      if (literal !== '') parts.push(literal)
      literal = ''
      parts.push({ parameter: named[1]! })
    } else if (!double && /^[{}]/.test(rest)) {
      throw new WrongEntry(
        told`${JSON.stringify(text)} has a single ${rest[0]!}; a parameter is written {name}, a brace ${rest[0]!}${rest[0]!}`,
      )
    } else literal += rest[0]
    rest = rest.slice(named ? named[0].length : double ? 2 : 1)
  }
  if (literal !== '' || parts.length === 0) parts.push(literal)
  return parts
}

/** The argument; null: it is left out, since it is a flag that is off. */
export const fillTemplate = (
  template: Template,
  parameters: ReadonlyMap<string, Parameter>,
  values: ReadonlyMap<string, Value>,
): string | null => {
  const [first] = template
  const only = template.length === 1 && typeof first === 'object' ? parameters.get(first.parameter) : undefined
  if (only?.kind === 'flag') return values.get(only.name) === true ? only.flag : null
  return template.map(part => (typeof part === 'string' ? part : String(values.get(part.parameter)))).join('')
}
