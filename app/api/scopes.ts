import { actionName } from '../catalog/scan-actions.ts'
import { commandName } from '../commands/command-name.ts'
import { BgtaskError } from '../errors.ts'
import { type Sentence, told } from '../task/told.ts'
import { showValue } from './show-value.ts'

/**
 * What a token may do. `task:add` names an action (`report/build`) or all actions below a folder (`report/*`); there is none for every
 * action, since whoever makes a token should say what it is for.
 */
export type Scope = { kind: 'task:add'; action: string } | { kind: (typeof plainScopes)[number] } | { kind: 'command'; name: string }

/** The scopes that are one word, in the order in which pages show them. */
export const plainScopes = [
  'task:read',
  'task:control',
  'schedule:read',
  'schedule:write',
  'loop:restart',
  'cron:run',
  'metrics:read',
] as const

/** How scopes are written, for sentences. */
export const scopeForms = ['task:add:<action>', 'task:add:<folder>/*', ...plainScopes, 'command:<name>'] as const

/**
 * All that is about tasks: adding, reading and controlling them, commands, cron. No token can have it, since it is none of the forms: it is for those
 * whom the permissions of our Unix socket have let in.
 */
export const everyTask = 'every task'

/** A token with more than this is meant for everything. */
export const mostScopes = 100

/** @throws BgtaskError `refused`, in a sentence that says what is wrong with it and what is allowed */
export const parseScope = (given: unknown): Scope => {
  if (typeof given !== 'string') throw refused(told`A scope is ${showValue(given)}; it must be text like task:read.`)
  const plain = plainScopes.find(kind => kind === given)
  if (plain) return { kind: plain }
  if (given.startsWith('task:add:')) return { kind: 'task:add', action: actionOf(given) }
  if (given.startsWith('command:')) return { kind: 'command', name: commandOf(given) }
  const ours = given === 'task:add' ? told` It needs the action that may be added, like task:add:report/build.` : ''
  throw refused(told`The scope ${showValue(given)} does not exist.${ours} There are ${scopeForms.join(', ')}.`)
}

/**
 * All of them, each once, in the order given.
 * @throws BgtaskError `refused` when one is wrong, when there is none, or when there are too many
 */
export const parseScopes = (given: unknown): string[] => {
  if (!Array.isArray(given)) throw refused(told`The scopes are ${showValue(given)}; they must be a list of texts like task:read.`)
  if (given.length === 0) throw refused(told`A token without a scope may do nothing; give at least one of ${scopeForms.join(', ')}.`)
  if (given.length > mostScopes) throw refused(told`${given.length} scopes are given; allowed are at most ${mostScopes}.`)
  return [...new Set(given.map(scope => formatScope(parseScope(scope))))]
}

export const formatScope = (scope: Scope): string => {
  if (scope.kind === 'task:add') return `task:add:${scope.action}`
  return scope.kind === 'command' ? `command:${scope.name}` : scope.kind
}

/** What a request needs: a scope as such, or, for `task:add`, one that covers the action. */
export type NeededScope = Scope

/** Whether one of the scopes covers what is needed. A scope that cannot be parsed covers nothing. */
export const coversScope = (scopes: readonly string[], needed: NeededScope): boolean =>
  (scopes.includes(everyTask) && ofTasks.has(needed.kind) && (needed.kind !== 'task:add' || actionName.test(needed.action))) ||
  (needed.kind === 'task:add' ? scopes.some(scope => coversAction(scope, needed.action)) : scopes.includes(formatScope(needed)))

const ofTasks = new Set<Scope['kind']>(['task:add', 'task:read', 'task:control', 'command', 'cron:run'])

const coversAction = (scope: string, action: string): boolean => {
  if (!scope.startsWith('task:add:') || !actionName.test(action)) return false
  const allowed = scope.slice('task:add:'.length)
  // The slash stays: report/* is not reports/build.
  return allowed === action || (allowed.endsWith('/*') && action.startsWith(allowed.slice(0, -1)))
}

const folderName = /^[a-z][a-z0-9_-]{0,31}(\/[a-z][a-z0-9_-]{0,31}){0,2}$/

const actionOf = (given: string): string => {
  const action = given.slice('task:add:'.length)
  if (action === '*' || action === '/*')
    throw refused(told`The scope ${showValue(given)} would cover every action; name an action or a folder of them, like task:add:report/*.`)
  if (action.endsWith('/*') ? folderName.test(action.slice(0, -2)) : actionName.test(action)) return action
  throw refused(
    told`The scope ${showValue(given)} does not name an action; allowed are names like task:add:report/build, and task:add:report/* for all below report.`,
  )
}

const commandOf = (given: string): string => {
  const name = given.slice('command:'.length)
  if (commandName.test(name)) return name
  throw refused(
    told`The scope ${showValue(given)} does not name a command; allowed are names of a-z, 0-9, _ and -, like command:clear-cache.`,
  )
}

const refused = (sentence: Sentence) => new BgtaskError('refused', sentence)
