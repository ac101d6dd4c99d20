import type { Validator } from 'typebox/schema'
import { redactJson } from '../secrets/redact-json.ts'
import { createRedactor, marker } from '../secrets/redactor.ts'
import type { Json } from '../task/task.ts'
import { anyOf, type Sentence, told } from '../task/told.ts'
import type { ActionEntry } from './action-entry.ts'

/** What is wrong with the params by the action's schema: one sentence for each place, none when they fit. */
export const checkParams = async (entry: Pick<ActionEntry, 'paramsSchema'>, params: Json): Promise<Sentence[]> => {
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
export const faultSentences = (errors: readonly Fault[], value: Json, schema: object, whole = 'params'): Sentence[] =>
  withoutAlternatives(errors.slice(0, mostFaults))
    .flatMap(error => sentences(error, value, schema, whole))
    .filter((sentence, index, all) => all.findIndex(other => String(other) === String(sentence)) === index)

/** More than anybody reads; each is held against the others. */
const mostFaults = 100

/** Of several that would fit, each says why it does not; `a number or null` says it once. */
const withoutAlternatives = (errors: readonly Fault[]): Fault[] => {
  const kinds = (at: string) =>
    errors.flatMap(({ keyword, instancePath, params }) =>
      keyword === 'type' && instancePath === at && 'type' in params ? [params.type] : [],
    )
  return errors.flatMap(error => {
    const { keyword, instancePath, schemaPath, params } = error
    const others = errors.filter(one => one !== error && one.instancePath.startsWith(instancePath))
    if (keyword === 'anyOf') return others.length > 0 ? [] : [error]
    const isOne = keyword === 'type' && schemaPath.includes('/anyOf/') && 'type' in params
    return [isOne ? { ...error, params: { type: [...new Set(kinds(instancePath).flat())] } } : error]
  })
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

export interface Fault {
  keyword: string
  schemaPath: string
  /** JSON pointer into the params. */
  instancePath: string
  params: object
  message: string
}

const sentences = (
  { keyword, schemaPath, instancePath, params: more, message: theirs }: Fault,
  params: Json,
  schema: { properties?: object },
  whole: string,
): Sentence[] => {
  const steps = instancePath
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const place = steps.join('.')
  const given = show(shownAt(params, steps))
  if (keyword === 'required' && 'requiredProperties' in more) {
    return (more.requiredProperties as string[]).map(name => told`${[...steps, name].join('.')} is missing`)
  }
  // Told once for each name, by the schema `false` that no value fits.
  if (keyword === 'additionalProperties') return []
  if (keyword === 'boolean' && schemaPath.endsWith('/additionalProperties')) {
    const allowed = steps.length === 1 ? Object.keys(schema.properties ?? {}) : []
    return [allowed.length ? told`${place} is not known; allowed are ${allowed.join(', ')}` : told`${place} is not known`]
  }
  return [told`${place || whole} ${ruleIn(keyword, more) ?? theirs}, but is ${given}`]
}

/** What was not kept, in words of ours; null: the validator's own have to do. */
const ruleIn = (keyword: string, more: object): Sentence | null => {
  const { type, allowedValues, allowedValue, limit, comparison, pattern, format, multipleOf } = more as Record<string, unknown>
  if (keyword === 'type') return told`must be ${anyOf([type].flat().map(wordFor))}`
  if (keyword === 'enum' && Array.isArray(allowedValues)) return told`must be one of ${allowedValues.map(show).join(', ')}`
  if (keyword === 'const') return told`must be ${show(allowedValue)}`
  if (typeof limit === 'number') {
    if (/^(exclusive)?(minimum|maximum)$/i.test(keyword)) return told`must be ${String(comparison)} ${limit}`
    if (keyword === 'minLength') return told`must not have fewer than ${limit} characters`
    if (keyword === 'maxLength') return told`must not have more than ${limit} characters`
    if (keyword === 'minItems') return told`must not have fewer than ${limit} items`
    if (keyword === 'maxItems') return told`must not have more than ${limit} items`
  }
  if (keyword === 'pattern') return told`must match pattern ${`"${String(pattern)}"`}`
  if (keyword === 'format') return told`must match format ${`"${String(format)}"`}`
  if (keyword === 'multipleOf') return told`must be multiple of ${String(multipleOf)}`
  if (keyword === 'uniqueItems') return told`must not have duplicate items`
  return null
}

const words: Record<string, Sentence> = {
  integer: told`a whole number`,
  number: told`a number`,
  string: told`a text`,
  boolean: told`true or false`,
  object: told`an object`,
  array: told`a list`,
}
const wordFor = (type: unknown): Sentence => words[String(type)] ?? String(type)

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

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length > 60 ? `${text.slice(0, 60)}…${text.startsWith('"') ? '"' : ''}` : text
}
