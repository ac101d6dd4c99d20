import type { ActionEntry } from '../catalog/catalog.ts'
import { isPlaceholder } from '../secrets/prefill.ts'
import { limitsOfKind, sameJson, type TaskTerms, termsOf } from '../task/edit.ts'
import type { Json, Task } from '../task/task.ts'
import { numberField } from './number-field.ts'
import { fieldsFromParams, paramsFields, readParams } from './params-form.ts'

/** The form for the params and limits of a task that is there, and what it says when it comes back. */
export interface TermsForm {
  /** The schema that the fields are made from; null: the params are one field of JSON. */
  schema: object | null
  /** A form of fields could show these params too. */
  mayBeFields: boolean
}

/** @param shown the params without secrets @param asJson whether the reader wants to write them as JSON */
export const termsForm = ({ paramsSchema }: Pick<ActionEntry, 'paramsSchema'>, shown: Json, asJson: boolean): TermsForm => {
  const fields = paramsFields(paramsSchema, null)
  // A form would lose what its schema does not name.
  const mayBeFields = fields !== null && isObject(shown) && Object.keys(shown).every(key => fields.some(field => field.key === key))
  return { schema: asJson || !mayBeFields ? null : paramsSchema, mayBeFields }
}

/** What the form begins with. */
export const fieldsOfTerms = (task: TaskTerms, shown: Json): Record<string, string> => ({
  ...fieldsFromParams(shown),
  priority: String(task.priority),
  max_attempts: String(task.maxAttempts),
  timeout_s: task.timeoutMs === null ? '' : String(task.timeoutMs / 1000),
  grace_s: String(task.graceMs / 1000),
  ...(task.rerunAfterCrash ? { rerun: 'on' } : {}),
})

/** What the form says, with `[redacted 1]` and the like where a hidden value was left as it is. @throws BgtaskError `refused`, naming the field */
export const readTerms = (task: Task, shown: Json, { schema }: TermsForm, fields: Record<string, string>): TaskTerms => {
  const offered = new Set<string>(limitsOfKind(task))
  const given: TaskTerms = {
    params: schema === null ? readParams(null, fields) : readFields(schema, shown, fields),
    timeoutMs: numberField(fields, 'timeout_s') ?? null,
    graceMs: numberField(fields, 'grace_s') ?? task.graceMs,
    maxAttempts: numberField(fields, 'max_attempts') ?? task.maxAttempts,
    priority: numberField(fields, 'priority') ?? task.priority,
    rerunAfterCrash: fields.rerun !== undefined,
  }
  const kept = termsOf(task)
  const limits = Object.keys(kept).filter(name => name !== 'params' && !offered.has(name))
  return { ...given, ...Object.fromEntries(limits.map(name => [name, kept[name as keyof TaskTerms]])) }
}

/**
 * After somebody else's change: what was left hidden is called by the name that it has now, so that the form can be sent again.
 * @param shown the params as they are now
 */
export const withPresentNames = (schema: object | null, shown: Json, fields: Record<string, string>): Record<string, string> => {
  const now = fieldsFromParams(shown)
  const renamed = { ...fields }
  for (const { name } of (schema && paramsFields(schema, fields)) || []) {
    if (isPlaceholder(fields[name] ?? '') && isPlaceholder(now[name] ?? '')) renamed[name] = now[name]!
  }
  return renamed
}

// A field that was left as it was drawn means what is stored, which a form cannot always say: nothing there is not an empty text.
const readFields = (schema: object, shown: Json, fields: Record<string, string>): Json => {
  const before = fieldsFromParams(shown)
  const stored = isObject(shown) ? shown : {}
  const read = readParams(schema, fields)
  const given = isObject(read) ? { ...read } : {}
  for (const { key, name, kind } of paramsFields(schema, before) ?? []) {
    const isLeft = isSameText(fields[name], before[name]) || (kind === 'select' && fields[name] === JSON.stringify(stored[key]))
    if (!isLeft) continue
    if (Object.hasOwn(stored, key)) given[key] = stored[key]!
    else delete given[key]
  }
  return sameJson(given, shown) ? shown : given
}

const isSameText = (one = '', other = '') => one.replaceAll('\r\n', '\n') === other.replaceAll('\r\n', '\n')

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)
