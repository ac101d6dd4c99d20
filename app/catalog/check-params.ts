import type { Validator } from 'typebox/schema'
import type { Json } from '../task/task.ts'
import type { ActionEntry } from './action-entry.ts'

/** What is wrong with the params by the action's schema: one sentence for each place, none when they fit. */
export const checkParams = async (entry: Pick<ActionEntry, 'paramsSchema'>, params: Json): Promise<string[]> => {
  if (entry.paramsSchema === null) return []
  const validator = await validatorOf(entry.paramsSchema)
  if (validator.Check(params)) return []
  const [, errors] = validator.Errors(params)
  return [...new Set(errors.map(error => sentence(error, params)))]
}

const validators = new WeakMap<object, Validator>()

const validatorOf = async (schema: object): Promise<Validator> => {
  const known = validators.get(schema)
  if (known) return known
  const { Compile } = await import('typebox/schema')
  const validator = Compile(schema) as Validator
  validators.set(schema, validator)
  return validator
}

const sentence = ({ instancePath, message }: { instancePath: string; message: string }, params: Json): string => {
  const steps = instancePath
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const given = steps.reduce<unknown>(
    (value, step) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[step] : undefined),
    params,
  )
  return `${steps.join('.') || 'params'} ${message}, but is ${show(given)}`
}

const show = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
