import { isPlaceholder } from '../secrets/prefill.ts'
import { changesBetween, limitsOfKind, type Place, type TaskTerms, termsOf } from '../task/edit.ts'
import type { Json, Task } from '../task/task.ts'
import { type ParamsShape, readKeptParams } from './kept-params.ts'
import { numberField } from './number-field.ts'
import { fieldsFromParams, paramsFields } from './params-form.ts'

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
export const readTerms = (task: Task, shown: Json, { schema }: ParamsShape, fields: Record<string, string>): TaskTerms => {
  const offered = new Set<string>(limitsOfKind(task))
  const given: TaskTerms = {
    params: readKeptParams(schema, shown, fields),
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

/** Places in the params that were given anew. @param shown what they began with @param given with what was left hidden as it was shown */
export const touchedIn = (shown: Json, given: TaskTerms): Place[] =>
  changesBetween({ ...given, params: shown }, given).map(({ path }) => knownPart(path))

// Of a key that is hidden itself, up to where it stands.
const knownPart = (path: Place): Place => {
  const hidden = path.findIndex(key => key.includes('[redacted '))
  return hidden === -1 ? path : path.slice(0, hidden)
}
