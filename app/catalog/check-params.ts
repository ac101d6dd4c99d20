import type { Validator } from 'typebox/schema'
import { redactJson } from '../secrets/redact-json.ts'
import { createRedactor, marker } from '../secrets/redactor.ts'
import type { Json } from '../task/task.ts'
import type { ActionEntry } from './action-entry.ts'

/** What is wrong with the params by the action's schema: one sentence for each place, none when they fit. */
export const checkParams = async (entry: Pick<ActionEntry, 'paramsSchema'>, params: Json): Promise<string[]> => {
  if (entry.paramsSchema === null) return []
  const validator = await validatorOf(entry.paramsSchema)
  if (validator.Check(params)) return []
  const [, errors] = validator.Errors(params)
  return faultSentences(errors, params, entry.paramsSchema)
}

/**
 * What a validator found, one sentence for each place.
 * @param whole how the sentences call the value itself
 */
export const faultSentences = (errors: readonly Fault[], value: Json, schema: object, whole = 'params'): string[] => [
  ...new Set(errors.flatMap(error => sentences(error, value, schema, whole))),
]

const validators = new WeakMap<object, Validator>()

const validatorOf = async (schema: object): Promise<Validator> => {
  const known = validators.get(schema)
  if (known) return known
  const { Compile } = await import('typebox/schema')
  const validator = Compile(schema) as Validator
  validators.set(schema, validator)
  return validator
}

export interface Fault {
  keyword: string
  schemaPath: string
  /** JSON pointer into the params. */
  instancePath: string
  params: object
  message: string
}

const sentences = (
  { keyword, schemaPath, instancePath, params: more, message }: Fault,
  params: Json,
  schema: { properties?: object },
  whole: string,
): string[] => {
  const steps = instancePath
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const place = steps.join('.')
  const given = show(shownAt(params, steps))
  if (keyword === 'required' && 'requiredProperties' in more) {
    return (more.requiredProperties as string[]).map(name => `${[...steps, name].join('.')} is missing`)
  }
  // Told once for each name, by the schema `false` that no value fits.
  if (keyword === 'additionalProperties') return []
  if (keyword === 'boolean' && schemaPath.endsWith('/additionalProperties')) {
    const allowed = steps.length === 1 ? Object.keys(schema.properties ?? {}) : []
    return [`${place} is not known${allowed.length ? `; allowed are ${allowed.join(', ')}` : ''}`]
  }
  if (keyword === 'type' && 'type' in more) message = `must be ${[more.type].flat().map(wordFor).join(' or ')}`
  if (keyword === 'enum' && 'allowedValues' in more) message = `must be one of ${(more.allowedValues as unknown[]).map(show).join(', ')}`
  if (keyword === 'const' && 'allowedValue' in more) message = `must be ${show(more.allowedValue)}`
  return [`${place || whole} ${message}, but is ${given}`]
}

const words: Record<string, string> = {
  integer: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
}
const wordFor = (type: unknown) => words[String(type)] ?? String(type)

/** What stands there as a sentence may quote it: it goes into pages, logs and the audit. */
const shownAt = (params: Json, steps: readonly string[]): unknown => {
  const given = valueAt(params, steps)
  return given === undefined ? undefined : (valueAt(redactJson(params, createRedactor([])), steps) ?? (given === null ? null : marker))
}

const valueAt = (value: unknown, steps: readonly string[]): unknown =>
  steps.reduce<unknown>(
    (inner, step) => (typeof inner === 'object' && inner !== null && Object.hasOwn(inner, step) ? Reflect.get(inner, step) : undefined),
    value,
  )

const show = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
