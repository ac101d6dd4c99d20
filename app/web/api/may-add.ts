import { cronAction } from '../../api/ask-cron.ts'
import { nameIn } from '../../api/command-reach.ts'
import { coversScope } from '../../api/scopes.ts'
import { showValue } from '../../api/show-value.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { actionName } from '../../catalog/scan-actions.ts'
import { commandAction } from '../../commands/command-name.ts'
import { BgtaskError } from '../../errors.ts'
import { bulkAction, recoveryAction } from '../../task/core-actions.ts'
import { nearestNames } from '../../task/nearest-names.ts'
import type { Task } from '../../task/task.ts'

/** Before scopes are looked at: none could cover it. @throws BgtaskError `refused` when no action can have this name */
export const requireActionName = (action: string): void => {
  if (!actionName.test(action))
    throw new BgtaskError('refused', `There can be no action ${showValue(action)}: names are like report/build, of a-z, 0-9, _ and -.`)
}

/** After scopes were looked at. Of what there is, only what they cover is told. @throws BgtaskError `refused` when there is no such action */
export const requireAction = (catalog: Catalog, scopes: readonly string[], action: string): void => {
  // Of a folder that cannot be read, nobody knows what it has: the library says so.
  if (catalog.get(action) || catalog.refused.some(({ isFolder }) => isFolder)) return
  const covered = catalog.entries.map(({ name }) => name).filter(name => scopeMissingFor(scopes, { action: name }) === null)
  const like = nearestNames(action, covered)
  const hint = like.length > 0 ? `; did you mean ${like.join(' or ')}?` : ', or none that this token may add.'
  throw new BgtaskError('refused', `There is no action ${showValue(action)}${hint}`)
}

/** The scope that a token lacks for adding this. @returns null when it may */
export const scopeMissingFor = (scopes: readonly string[], { action, params }: { action: string; params?: unknown }): string | null => {
  if (!coversScope(scopes, { kind: 'task:add', action })) return actionName.test(action) ? `task:add:${action}` : 'task:add:<action>'
  const own = scopesOfOwn[action]
  if (own !== undefined && !coversScope(scopes, { kind: own })) return own
  if (action !== commandAction || coversScope(scopes, { kind: 'command', name: nameIn(params) })) return null
  return `command:${nameIn(params) || '<name>'}`
}

/** What these do has a scope of its own, as a command has: adding them by their names is no way round it. */
const scopesOfOwn: Readonly<Record<string, 'task:control' | 'cron:run'>> = {
  [recoveryAction]: 'task:control',
  [bulkAction]: 'task:control',
  [cronAction]: 'cron:run',
}

/** With a unique key a task may be shown, overwritten or replaced that somebody else added: no further than the token reaches. */
export const mayMeetWith =
  (scopes: readonly string[]) =>
  (other: Task): boolean =>
    scopeMissingFor(scopes, other) === null

/**
 * The same for a schedule, which does later what it says. When it is due nobody is asked whose task holds its unique key, so stopping or overwriting
 * that one takes the scope that stops any.
 */
export const scheduleScopeMissingFor = (
  scopes: readonly string[],
  { action, params, uniqueKey, onConflict }: { action: string; params?: unknown; uniqueKey?: unknown; onConflict?: unknown },
): string | null => {
  const missing = scopeMissingFor(scopes, { action, params })
  if (missing !== null || uniqueKey == null || (onConflict !== 'replace' && onConflict !== 'keepLast')) return missing
  return coversScope(scopes, { kind: 'task:control' }) ? null : 'task:control'
}
