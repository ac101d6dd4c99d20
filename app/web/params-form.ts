import { parse as parseJsonSafely } from 'secure-json-parse'
import { BgtaskError, messageOf } from '../errors.ts'
import { isPlaceholder } from '../secrets/prefill.ts'
import { isSecretName } from '../secrets/secret-name.ts'
import type { Json } from '../task/task.ts'
import { told } from '../task/told.ts'

/** One field of a form made from an action's schema. Its name in the form is `params.` and the key. */
export interface ParamsField {
  key: string
  name: string
  label: string
  description: string | null
  kind: 'text' | 'secret' | 'number' | 'checkbox' | 'select' | 'json'
  required: boolean
  /** What stands in it: what was given, else the schema's default. */
  value: string
  /** A secret of another task stands for itself in it. */
  isKept: boolean
  options: { label: string; value: string; chosen: boolean }[]
  min: number | null
  max: number | null
  step: string
  /** Of a text: what the whole of it must be like, and how long it may be. */
  pattern?: string
  longest?: number
}

/** What of a schema a form can show; the schema itself is checked by the action's own validator. */
interface Schema {
  type?: string | string[]
  title?: string
  description?: string
  default?: Json
  const?: Json
  enum?: Json[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  minimum?: number
  maximum?: number
  multipleOf?: number
  properties?: Record<string, Schema>
  required?: string[]
}

/** @returns null when the params are not an object of named fields: then the form has one field for JSON as a whole */
export const paramsFields = (schema: object | null, given: Record<string, string> | null): ParamsField[] | null => {
  const { properties, required = [] } = (schema ?? {}) as Schema
  if (!properties || Object.keys(properties).length === 0) return schema && isEmptyObject(schema as Schema) ? [] : null
  return Object.entries(properties).map(([key, property]) => toField(key, property, required.includes(key), given))
}

/** The fields of params that another task has, so that a form can begin with them. */
export const fieldsFromParams = (params: Json): Record<string, string> => {
  const fields: Record<string, string> = Object.create(null)
  fields.params = JSON.stringify(params, null, 2)
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return fields
  for (const [key, value] of Object.entries(params)) {
    if (value !== false) fields[`params.${key}`] = typeof value === 'string' ? value : value === true ? 'on' : JSON.stringify(value)
  }
  return fields
}

/**
 * Reads the form back. What the schema allows is checked later, by the one validator that also checks `addTask`.
 * @throws BgtaskError `refused`, naming the field
 */
export const readParams = (schema: object | null, form: Record<string, string>): Json => {
  const fields = paramsFields(schema, form)
  if (fields === null) return (form.params ?? '').trim() === '' ? {} : readJson('params', form.params!)
  const params: { [key: string]: Json } = Object.create(null)
  for (const field of fields) {
    const value = readField(field, form[field.name])
    if (value !== undefined) params[field.key] = value
  }
  return { ...params }
}

const toField = (key: string, schema: Schema, required: boolean, given: Record<string, string> | null): ParamsField => {
  const name = `params.${key}`
  const isKept = isPlaceholder(given?.[name] ?? '')
  const choices = isKept ? null : choicesOf(schema)
  const kind = isKept ? 'secret' : choices ? 'select' : kindOf(key, schema)
  const standard =
    schema.default === undefined ? '' : kind === 'select' || kind === 'json' ? JSON.stringify(schema.default) : String(schema.default)
  const value = given ? (given[name] ?? '') : kind === 'checkbox' ? (schema.default === true ? 'on' : '') : standard
  const options = (choices ?? []).map(choice => {
    const text = JSON.stringify(choice)
    // A select sends JSON; params of another task come as plain text.
    return {
      label: typeof choice === 'string' ? choice : text,
      value: text,
      chosen: text === value || (typeof choice === 'string' && choice === value),
    }
  })
  return {
    key,
    name,
    label: schema.title ?? key,
    description: schema.description ?? null,
    kind,
    required: required && schema.default === undefined,
    value,
    isKept,
    options:
      kind === 'select' && (!required || schema.default === undefined)
        ? [{ label: '–', value: '', chosen: value === '' }, ...options]
        : options,
    min: schema.minimum ?? null,
    max: schema.maximum ?? null,
    step: schema.type === 'integer' ? String(schema.multipleOf ?? 1) : 'any',
  }
}

const choicesOf = (schema: Schema): Json[] | null => {
  if (Array.isArray(schema.enum)) return schema.enum
  const members = schema.anyOf ?? schema.oneOf
  return members && members.length > 0 && members.every(member => member.const !== undefined) ? members.map(member => member.const!) : null
}

const kindOf = (key: string, { type }: Schema): ParamsField['kind'] => {
  if (type === 'string') return isSecretName(key) ? 'secret' : 'text'
  if (type === 'number' || type === 'integer') return 'number'
  return type === 'boolean' ? 'checkbox' : 'json'
}

const readField = (field: ParamsField, text: string | undefined): Json | undefined => {
  if (field.kind === 'checkbox') return text !== undefined && text !== ''
  const isText = field.kind === 'text' || field.kind === 'secret'
  if (text === undefined || (text === '' && !(isText && field.required))) return undefined
  if (isText) return text.replaceAll('\r\n', '\n')
  if (field.kind === 'number') {
    const value = Number(text)
    if (text.trim() === '' || !Number.isFinite(value))
      throw new BgtaskError(
        'refused',
        told`${field.label} is ${isSecretName(field.key) ? told`none` : JSON.stringify(text.slice(0, 60))}; it must be a number.`,
      )
    return value
  }
  return readJson(field.label, text)
}

const readJson = (field: string, text: string): Json => {
  try {
    return parseJsonSafely(text, undefined, { protoAction: 'error', constructorAction: 'error' }) as Json
  } catch (error) {
    throw new BgtaskError('refused', told`${field} is no JSON: ${messageOf(error)}. Write it like {"rows": 10} or ["a", "b"].`, {
      cause: error,
    })
  }
}

const isEmptyObject = (schema: Schema) => schema.type === 'object' && Object.keys(schema.properties ?? {}).length === 0
