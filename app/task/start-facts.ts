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

/** What differs between the beginnings of two runs. Nothing when all is as it was. */
export const changedAtStart = (before: StartFacts, after: StartFacts): Change[] => {
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
  return [...changes, ...changesInParams(before.params, after.params)]
}

// Not the time of the file: whoever deploys writes the same file anew.
const codeOf = ({ code }: StartFacts): string | null => code && `${code.file} (${code.hash})`
const numberText = (value: number | null) => (value === null ? null : String(value))

const changesInParams = (before: Json | undefined, after: Json | undefined): Change[] => {
  if (before === undefined || after === undefined || JSON.stringify(before) === JSON.stringify(after)) return []
  if (!isObject(before) || !isObject(after)) return [{ what: 'params', name: '', before: shortJson(before), after: shortJson(after) }]
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const differing = names.filter(name => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
  return differing.slice(0, mostNames).map(name => ({
    ...{ what: 'params', name: name.slice(0, 100) },
    ...{ before: shortJson(before[name]), after: shortJson(after[name]) },
  }))
}

const mostNames = 50

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)

const shortJson = (value: Json | undefined): string | null => {
  if (value === undefined) return null
  const text = JSON.stringify(value)
  return text.length > 300 ? `${text.slice(0, 299)}…` : text
}
