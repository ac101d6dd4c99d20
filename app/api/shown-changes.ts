import { redactJson } from '../secrets/redact-json.ts'
import { marker, type Redactor } from '../secrets/redactor.ts'
import { changesBetween, type Place, sameJson, type TaskTerms, type TermsChange } from '../task/edit.ts'
import type { Json } from '../task/task.ts'

/** One change as people may see it. */
export interface ShownChange {
  /** null: it is about the params. */
  limit: Exclude<keyof TaskTerms, 'params'> | null
  /** Of a place in the params: its keys with dots between; `params` for all of them. */
  name: string
  /** As JSON; null: it was, or is, not there. */
  from: string | null
  to: string | null
  /** What is hidden looks the same before and after. */
  isHidden: boolean
}

/** More than that nobody reads. */
const mostShown = 20

export interface ShownChanges {
  changes: ShownChange[]
  /** How many there are besides. */
  more: number
}

/** What differs, without secrets. @param redactor knows those of both @param touched given anew: told also where nothing differs, if it is hidden */
export const shownChanges = (
  before: TaskTerms,
  after: TaskTerms,
  { redactor, touched = [] }: { redactor: Redactor; touched?: readonly Place[] },
): ShownChanges => {
  const asShown = { before: redactJson(before.params, redactor), after: redactJson(after.params, redactor) }
  const changes = changesBetween(before, after, touched).flatMap(change => {
    const shown = shownChange(change, { before, after, asShown, redactor })
    return sameJson(change.from, change.to) && !shown.to?.includes(marker) ? [] : [shown]
  })
  return {
    changes: changes.slice(0, mostShown).map(change => ({ ...change, from: cut(change.from), to: cut(change.to) })),
    more: Math.max(0, changes.length - mostShown),
  }
}

const shownChange = (
  { path, from, to }: TermsChange,
  { before, after, asShown, redactor }: { before: TaskTerms; after: TaskTerms; asShown: { before: Json; after: Json }; redactor: Redactor },
): ShownChange => {
  const [first, ...steps] = path
  if (first !== 'params')
    return { limit: first as NonNullable<ShownChange['limit']>, name: '', from: textOf(from), to: textOf(to), isHidden: false }
  const shown = {
    from: from === undefined ? null : textOf(shownAt(before.params, asShown.before, steps)),
    to: to === undefined ? null : textOf(shownAt(after.params, asShown.after, steps)),
  }
  const name = steps.length === 0 ? 'params' : redactor.text(steps.join('.'))
  return { limit: null, name, ...shown, isHidden: shown.from !== null && shown.from === shown.to }
}

/** Where the keys lead in what is shown: a key may be hidden itself, so it is found by its place among the others. */
const shownAt = (stored: Json, shown: Json, steps: Place): Json => {
  const [key, ...rest] = steps
  if (key === undefined) return shown
  if (!isObject(stored) || !isObject(shown)) return marker
  const keys = Object.keys(stored)
  const values = Object.values(shown)
  if (values.length !== keys.length) return marker
  return shownAt(stored[key] ?? null, values[keys.indexOf(key)] ?? null, rest)
}

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)

const longestShown = 300

const textOf = (value: Json | undefined): string | null => (value === undefined ? null : JSON.stringify(value))

const cut = (text: string | null) => (text !== null && text.length > longestShown ? `${text.slice(0, longestShown)}…` : text)
