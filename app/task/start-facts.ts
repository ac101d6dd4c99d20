import { type Limits, namesOf } from './limits.ts'
import type { Json } from './task.ts'

/** What a run was started with, so that it can be held against another one. */
export interface StartFacts {
  /** The file of the action as it was then; null when it could not be read. */
  code: { file: string; changedAt: number; hash: string } | null
  /** The commit of the checkout that the file lies in; null when it lies in none. */
  commit: string | null
  /** Versions of Node and of bgtask. */
  node: string
  bgtask: string
  limits: Limits | null
  timeoutMs: number | null
  graceMs: number
  /** Of a loop, whose params may change between its runs. */
  params?: Json
}

/** One thing that is not as it was. */
export interface Change {
  what: 'code' | 'commit' | 'node' | 'bgtask' | 'limits' | 'timeoutMs' | 'graceMs' | 'params'
  /** Of params: the name at which they differ; empty when they differ as a whole. */
  name?: string
  /** As text; null: it was not there, or there was none. */
  before: string | null
  after: string | null
}

/**
 * What differs between the beginnings of two runs. Nothing when all is as it was.
 * @param shown the params as people may see them
 */
export const changesBetween = (before: StartFacts, after: StartFacts, shown: { before?: Json; after?: Json }): Change[] => {
  const changes: Change[] = []
  const note = (what: Change['what'], was: string | null, is: string | null) => {
    if (was !== is) changes.push({ what, before: was, after: is })
  }
  note('code', codeOf(before), codeOf(after))
  note('commit', before.commit, after.commit)
  note('node', before.node, after.node)
  note('bgtask', before.bgtask, after.bgtask)
  note('limits', before.limits && namesOf(before.limits), after.limits && namesOf(after.limits))
  note('timeoutMs', numberText(before.timeoutMs), numberText(after.timeoutMs))
  note('graceMs', numberText(before.graceMs), numberText(after.graceMs))
  return [...changes, ...changesInParams(before.params, after.params, shown)]
}

// Not the time of the file: whoever deploys writes the same file anew.
const codeOf = ({ code }: StartFacts): string | null => code && `${code.file} (${code.hash})`
const numberText = (value: number | null) => (value === null ? null : String(value))

const changesInParams = (before: Json | undefined, after: Json | undefined, shown: { before?: Json; after?: Json }): Change[] => {
  if (before === undefined || after === undefined || JSON.stringify(before) === JSON.stringify(after)) return []
  if (!isObject(before) || !isObject(after))
    return [{ what: 'params', name: '', before: shortJson(shown.before), after: shortJson(shown.after) }]
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const differing = names.filter(name => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
  const shownValue = (params: Json | undefined, name: string) =>
    shortJson(params !== undefined && isObject(params) && Object.hasOwn(params, name) ? params[name] : undefined)
  return differing.slice(0, mostNames).map(name => ({
    what: 'params',
    // A name that is a secret is not among those that may be seen.
    name: [shown.before, shown.after].some(params => shownValue(params, name) !== null) ? name.slice(0, 100) : '',
    before: shownValue(shown.before, name),
    after: shownValue(shown.after, name),
  }))
}

const mostNames = 50

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)

const shortJson = (value: Json | undefined): string | null => {
  if (value === undefined) return null
  const text = JSON.stringify(value)
  return text.length > 300 ? `${text.slice(0, 299)}…` : text
}
