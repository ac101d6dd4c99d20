import { faultOf } from '../catalog/action-entry.ts'
import type { ActionEntry, Catalog } from '../catalog/catalog.ts'
import { checkParams } from '../catalog/check-params.ts'
import { ownPrefix } from '../catalog/scan-actions.ts'
import { BgtaskError } from '../errors.ts'
import { placeholderIn } from '../secrets/prefill.ts'
import type { CallerTransaction } from '../store/database.ts'
import type { NewTask } from '../store/insert-task.ts'
import type { Json } from '../task/task.ts'
import { anyOf, inTurn, type Sentence, told } from '../task/told.ts'
import { checkJson } from './check-json.ts'
import { checkOptions, text } from './check-options.ts'

/**
 * Makes of what a caller gave what the store takes, or says why not.
 * @throws BgtaskError `refused`, naming the field, what was given and what is allowed
 */
export const checkTask = async (
  catalog: Catalog,
  action: unknown,
  params: unknown,
  options: unknown,
  { by, now }: { by?: string | undefined; now: number },
): Promise<{ task: NewTask; trx: CallerTransaction | undefined }> => {
  const entry = findAction(catalog, text('action', action, 1, 128))
  const json = checkJson(params === undefined ? {} : params, 'params')
  requireRealSecrets(json)
  const { trx, ...checked } = checkOptions(options, entry, now)
  const faults = await checkParams(entry, json)
  if (faults.length > 0) {
    const shown = inTurn(faults.slice(0, 5))
    const more = faults.length > 5 ? told`; and ${faults.length - 5} more` : ''
    throw new BgtaskError('refused', told`The params do not fit ${entry.name}: ${shown}${more}.`)
  }
  return { task: { action: entry.name, params: json, ...checked, ...(by === undefined ? {} : { by }) }, trx }
}

/** Params that were copied from where secrets are hidden would give the action a word for a password. */
const requireRealSecrets = (params: Json) => {
  const place = placeholderIn(params)
  if (place === null) return
  throw new BgtaskError(
    'refused',
    told`${['params', ...place].join('.')} is what stands for a hidden value where it is shown, and not the value. Give the value itself.`,
  )
}

/** @throws BgtaskError `refused` when there is no such action, or its file does not load */
export const findAction = (catalog: Catalog, name: string): ActionEntry => {
  const entry = catalog.get(name)
  if (!entry) throw new BgtaskError('refused', told`There is no action ${JSON.stringify(name)}${hint(catalog, name)}`)
  if (entry.error === null) return entry
  throw new BgtaskError(
    'refused',
    entry.isAmbiguous
      ? told`The action ${entry.name} ${faultOf(entry)}.`
      : told`The action ${entry.name} cannot be run, since ${entry.file} does not load: ${entry.error}`,
  )
}

const hint = (catalog: Catalog, name: string): Sentence => {
  const unread = catalog.refused.find(({ isFolder }) => isFolder)
  if (unread) return told`, as far as can be seen: ${unread.file} ${unread.why}.`
  const like = catalog.nearest(name)
  if (like.length > 0) return told`; did you mean ${anyOf(like)}?`
  const known = catalog.entries.map(entry => entry.name).filter(name => !name.startsWith(ownPrefix))
  if (known.length === 1) return told`. There is only ${known[0]!}.`
  return known.length > 0
    ? told`. There are ${known.slice(0, 5).join(', ')}${known.length > 5 ? told` and others` : ''}.`
    : told`. The actions folder is empty: report/build would be the file report/build.ts in it.`
}
