import type { Json, Task } from './task.ts'

/** What people may change of a task that is there. The rest of it is what it is, or what became of it. */
export type TaskTerms = Pick<Task, 'params' | 'priority' | 'maxAttempts' | 'timeoutMs' | 'graceMs' | 'rerunAfterCrash'>

export const termsOf = ({ params, priority, maxAttempts, timeoutMs, graceMs, rerunAfterCrash }: TaskTerms): TaskTerms => ({
  params,
  priority,
  maxAttempts,
  timeoutMs,
  graceMs,
  rerunAfterCrash,
})

/** Those that mean something for the kind of task, besides its params: a loop has no tries, no turn and no end. */
export const limitsOfKind = ({ execType }: Pick<Task, 'execType'>): readonly Exclude<keyof TaskTerms, 'params'>[] =>
  execType === 'FOREVER' ? ['graceMs'] : ['timeoutMs', 'graceMs', 'maxAttempts', 'priority', 'rerunAfterCrash']

/** When an edit takes effect: `restart`: a fresh process follows the current iteration; `next`: whenever the task is started next. */
export const editEffects = ['restart', 'next'] as const
export type EditEffect = (typeof editEffects)[number]

/** One change that somebody made to the terms of a task. */
export interface Edit {
  taskId: number
  /** 1, 2, 3 … within the task. */
  n: number
  /** Milliseconds since 1970. */
  at: number
  /** null: nobody was signed in. */
  by: string | null
  /** By which kind of request, as the audit says it. */
  via: string
  effect: EditEffect
  /** The newest run of the task at that time: it, and those before it, began with the terms from before. */
  number: number
  /** The edit whose `before` was brought back; null: the terms were given anew. */
  revertOf: number | null
  /** Places in the params that were given anew, whether they differ or not: of what is hidden, nobody shall learn by trying whether it is the same. */
  touched: readonly Place[]
  before: TaskTerms
  after: TaskTerms
}

/** `graceMs`, or `params` and the keys below it. */
export type Place = readonly string[]

/** Something that is different, or was given anew: a limit, or a place in the params. */
export interface TermsChange {
  path: Place
  /** undefined: it was not there. */
  from: Json | undefined
  /** undefined: it is not there any more. */
  to: Json | undefined
}

/** What differs, params first. Objects are gone into; of a list the whole is told. @param touched told too, also where nothing differs */
export const changesBetween = (before: TaskTerms, after: TaskTerms, touched: readonly Place[] = []): TermsChange[] => [
  ...withTouched(differences(['params'], before.params, after.params), before, after, touched),
  ...(['timeoutMs', 'graceMs', 'maxAttempts', 'priority', 'rerunAfterCrash'] as const).flatMap(name =>
    before[name] === after[name] ? [] : [{ path: [name], from: before[name], to: after[name] }],
  ),
]

/** Whether two values are the same as JSON; the order of keys means nothing. */
export const sameJson = (one: Json | undefined, other: Json | undefined): boolean => {
  if (one === other) return true
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((item, index) => sameJson(item, other[index]))
  if (!isObject(one) || !isObject(other)) return false
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every(key => Object.hasOwn(other, key) && sameJson(one[key], other[key]))
}

/** Fewer, when they are many: the params as a whole. */
export const fewPlaces = (places: readonly Place[]): readonly Place[] => {
  const unique = [...new Map(places.map(place => [JSON.stringify(place), place])).values()]
  return unique.length > mostPlaces || JSON.stringify(unique).length > mostPlacesLength ? [['params']] : unique
}
const mostPlaces = 100
const mostPlacesLength = 65_536

const withTouched = (changes: TermsChange[], before: TaskTerms, after: TaskTerms, touched: readonly Place[]): TermsChange[] => {
  const told = new Set(changes.map(({ path }) => JSON.stringify(path)))
  const more = touched.filter(path => !told.has(JSON.stringify(path)))
  return [
    ...changes,
    ...more.map(path => ({ path, from: valueAt(before.params, path.slice(1)), to: valueAt(after.params, path.slice(1)) })),
  ]
}

const valueAt = (json: Json | undefined, steps: Place): Json | undefined =>
  steps.reduce<Json | undefined>((inner, step) => (isObject(inner) ? ownOf(inner, step) : undefined), json)

const differences = (path: Place, from: Json | undefined, to: Json | undefined): TermsChange[] => {
  if (sameJson(from, to)) return []
  if (!isObject(from) || !isObject(to)) return [{ path, from, to }]
  const keys = new Set([...Object.keys(from), ...Object.keys(to)])
  return [...keys].flatMap(key => differences([...path, key], ownOf(from, key), ownOf(to, key)))
}

const ownOf = (object: { [key: string]: Json }, key: string): Json | undefined => (Object.hasOwn(object, key) ? object[key] : undefined)

const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
