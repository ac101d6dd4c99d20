import type { ActionEntry } from '../catalog/catalog.ts'
import { sameJson } from '../task/edit.ts'
import type { Json } from '../task/task.ts'
import { fieldsFromParams, paramsFields, readParams } from './params-form.ts'

/** How a form shows params that are there already, so that it loses none of them. */
export interface ParamsShape {
  /** The schema that the fields are made from; null: the params are one field of JSON. */
  schema: object | null
  /** A form of fields could show these params too. */
  mayBeFields: boolean
}

/** @param shown the params without secrets @param asJson whether the reader wants to write them as JSON */
export const paramsShape = ({ paramsSchema }: Pick<ActionEntry, 'paramsSchema'>, shown: Json, asJson: boolean): ParamsShape => {
  const fields = paramsFields(paramsSchema, null)
  // A form would lose what its schema does not name.
  const mayBeFields = fields !== null && isObject(shown) && Object.keys(shown).every(key => fields.some(field => field.key === key))
  return { schema: asJson || !mayBeFields ? null : paramsSchema, mayBeFields }
}

/** From what the fields of a form that came back were made, which it says itself: what is there may have changed since. null: they are one field of JSON. */
export const schemaDrawn = ({ paramsSchema }: Pick<ActionEntry, 'paramsSchema'>, fields: Record<string, string>): object | null =>
  fields.as === 'json' ? null : paramsSchema

/**
 * What the form says. A field that was left as it was drawn means what is there, which a form cannot always say: nothing there is not an empty text.
 * @param shown what the form began with
 * @throws BgtaskError `refused`, naming the field
 */
export const readKeptParams = (schema: object | null, shown: Json, fields: Record<string, string>): Json => {
  const read = readParams(schema, fields)
  const before = fieldsFromParams(shown)
  const drawn = paramsFields(schema, before)
  if (drawn === null) return read
  const stored = isObject(shown) ? shown : {}
  const given = isObject(read) ? { ...read } : {}
  for (const { key, name, kind } of drawn) {
    const isLeft = isSameText(fields[name], before[name]) || (kind === 'select' && fields[name] === JSON.stringify(stored[key]))
    if (!isLeft) continue
    if (Object.hasOwn(stored, key)) given[key] = stored[key]!
    else delete given[key]
  }
  return sameJson(given, shown) ? shown : given
}

const isSameText = (one = '', other = '') => one.replaceAll('\r\n', '\n') === other.replaceAll('\r\n', '\n')

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)
