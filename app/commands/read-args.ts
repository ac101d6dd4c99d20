import { nearestNames } from '../task/nearest-names.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Command, Parameter, Value } from './command.ts'
import { fillTemplate } from './template.ts'
import { whyNoValue } from './why-no-value.ts'

/**
 * The values for all parameters of a command, by what was given: numbers and flags may come as texts, as forms and terminals have them.
 * @returns `problems`: what is wrong, a sentence without its full stop for each; then there are no values
 */
export const readArgs = (
  { name: command, parameters }: Pick<Command, 'name' | 'parameters'>,
  given: unknown,
): { values: Map<string, Value>; problems: null } | { values: null; problems: Sentence[] } => {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return {
      values: null,
      problems: [
        told`the args are ${Array.isArray(given) ? told`a list` : (JSON.stringify(given) ?? String(given))}; they must be an object of names and values`,
      ],
    }
  const problems: Sentence[] = Object.keys(given)
    .filter(name => !parameters.has(name))
    .slice(0, 5)
    .map(name => strange(command, name.slice(0, 64), [...parameters.keys()]))
  const values = new Map<string, Value>()
  for (const parameter of parameters.values()) {
    const { name } = parameter
    // Its own: whatever a prototype may hold was not given.
    const value = Object.hasOwn(given, name) ? plain(parameter, (given as Record<string, unknown>)[name]) : parameter.default
    if (value === undefined) problems.push(told`${name} is missing`)
    else {
      const why = whyNoValue(parameter, value)
      if (why !== null) problems.push(told`${name} ${why}`)
      else values.set(name, value as Value)
    }
  }
  return problems.length > 0 ? { values: null, problems } : { values, problems: null }
}

/**
 * What is started: program and arguments, exactly. Built from checked values alone, and looked at once more: an argument begins with - only
 * where the file says so.
 * @throws Error when one does; nothing may be started then
 */
export const argvOf = ({ executable, templates, parameters }: Command, values: ReadonlyMap<string, Value>): string[] => {
  const argv = [executable]
  for (const template of templates) {
    const argument = fillTemplate(template, parameters, values)
    if (argument === null) continue
    const [first] = template
    const isOurs = typeof first === 'string' ? first.startsWith('-') : parameters.get(first!.parameter)?.kind === 'flag'
    if (argument.startsWith('-') && !isOurs) throw new Error(`The argument ${JSON.stringify(argument)} would look like an option.`)
    if (argument.includes('\0')) throw new Error('An argument has a NUL character.')
    argv.push(argument)
  }
  return argv
}

/** As they are stored with the task. */
export const plainArgs = (values: ReadonlyMap<string, Value>): Record<string, Value> => Object.fromEntries(values)

const plain = (parameter: Parameter, given: unknown): unknown => {
  if (typeof given !== 'string') return given
  if (parameter.kind === 'whole' && /^-?(0|[1-9]\d{0,15})$/.test(given)) return Number(given)
  if (parameter.kind === 'flag' && (given === 'true' || given === 'false')) return given === 'true'
  return given
}

const strange = (command: string, name: string, known: readonly string[]): Sentence => {
  const [nearest] = nearestNames(name, known)
  const hint =
    nearest !== undefined ? told`did you mean ${nearest}?` : known.length > 0 ? told`there are ${known.join(', ')}` : told`it takes none`
  return told`${JSON.stringify(name)} is no parameter of ${command}; ${hint}`
}
