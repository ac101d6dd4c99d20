import type { Command, Parameter } from '../commands/command.ts'
import type { ParamsField } from './params-form.ts'

/** The fields of a form made from a command's parameters; each is named `args.` and the name. */
export const commandFields = ({ parameters }: Pick<Command, 'parameters'>, given: Record<string, string> | null): ParamsField[] =>
  [...parameters.values()].map(parameter => toField(parameter, given))

/** What a form says, as the args of a command: still to be checked like any others. */
export const argsGiven = ({ parameters }: Pick<Command, 'parameters'>, form: Record<string, string>): Record<string, unknown> => {
  const args: Record<string, unknown> = Object.create(null)
  for (const [field, value] of Object.entries(form)) {
    if (!field.startsWith('args.')) continue
    const name = field.slice('args.'.length)
    const isFlag = parameters.get(name)?.kind === 'flag'
    // A box that is not ticked sends nothing, and an empty field nothing to speak of.
    if (isFlag || value !== '') args[name] = isFlag && (value === 'on' || value === '') ? value === 'on' : value
  }
  for (const { kind, name } of parameters.values()) if (kind === 'flag' && !(name in args)) args[name] = false
  return { ...args }
}

/** The fields of args that are known. */
export const fieldsFromArgs = (args: unknown): Record<string, string> => {
  const fields: Record<string, string> = Object.create(null)
  if (typeof args !== 'object' || args === null) return fields
  for (const [name, value] of Object.entries(args)) {
    if (value === true) fields[`args.${name}`] = 'on'
    else if (typeof value === 'string' || typeof value === 'number') fields[`args.${name}`] = String(value)
  }
  return fields
}

const toField = (parameter: Parameter, given: Record<string, string> | null): ParamsField => {
  const { name: key, kind } = parameter
  const name = `args.${key}`
  const standard =
    parameter.default === undefined || parameter.default === false ? '' : parameter.default === true ? 'on' : String(parameter.default)
  const value = given ? (given[name] ?? '') : standard
  const choices = kind === 'choice' ? parameter.values : []
  return {
    key,
    name,
    label: parameter.title ?? key,
    description: parameter.description,
    kind: ({ choice: 'select', whole: 'number', text: 'text', flag: 'checkbox' } as const)[kind],
    required: parameter.default === undefined,
    value,
    isKept: false,
    // Nothing is chosen for anybody who has not chosen.
    options: [...(standard === '' ? [''] : []), ...choices].map(choice => ({
      label: choice || '–',
      value: choice,
      chosen: choice === value,
    })),
    min: kind === 'whole' ? parameter.least : null,
    max: kind === 'whole' ? parameter.most : null,
    step: '1',
    ...(kind === 'text' ? { pattern: parameter.pattern, longest: parameter.longest } : {}),
  }
}
