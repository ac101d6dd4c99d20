import { nameOfExport } from '../task/export-name.ts'
import { allOf, type Sentence, told } from '../task/told.ts'
import { type ActionDescription, type ActionEntry, type FileDescription, notLoaded, type RefusedFile } from './action-entry.ts'
import { type ActionFile, actionName, allowedNames } from './scan-actions.ts'

/** Makes the map of what the files say. What cannot be an action, and has no name that somebody could ask for, is refused with a reason. */
export const arrangeActions = (
  files: readonly (Pick<ActionFile, 'path' | 'file'> & { said: FileDescription })[],
): { entries: ActionEntry[]; refused: RefusedFile[]; broken: { path: string; file: string; error: string }[] } => {
  const offers = files.flatMap(({ path, file, said }) => offersOf(path, said).map((offer): Offer => ({ ...offer, file })))
  const refused = offers.flatMap(offer => {
    const why = whyRefused(offer)
    return why === null ? [] : [{ file: offer.file, why, isFolder: false }]
  })
  const byName = Map.groupBy(
    offers.filter(({ name }) => actionName.test(name)),
    ({ name }) => name,
  )
  const entries = [...byName.values()].map(of => (of.length === 1 ? entryOf(of[0]!) : ambiguous(of)))
  return {
    entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)),
    refused,
    broken: files.flatMap(({ path, file, said }) => (said.error === null ? [] : [{ path, file, error: said.error }])),
  }
}

interface Offer {
  name: string
  file: string
  action: ActionDescription
}

const offersOf = (path: string, { error, actions }: FileDescription): Omit<Offer, 'file'>[] =>
  error === null
    ? actions.map(action => ({ name: isWhole(action) ? path : `${path}/${nameOfExport(action.exportName)}`, action }))
    : [{ name: path, action: notLoaded(error) }]

/** The file is this one action. */
const isWhole = ({ exportName }: ActionDescription) => exportName === 'execute' || exportName === 'default'

const whyRefused = ({ name, action }: Offer): Sentence | null => {
  if (actionName.test(name)) return null
  if (action.error !== null && isWhole(action)) return told`does not load: ${action.error}`
  return isWhole(action)
    ? told`is one action, and the name of an action has a slash: lay it into a folder, or export each of its actions by a name of its own instead of execute`
    : told`exports ${action.exportName}, which would be the action ${name}, and that is no name; ${allowedNames}`
}

const entryOf = ({ name, file, action }: Offer): ActionEntry => ({ name, file, isAmbiguous: false, ...action })

const ambiguous = (offers: readonly Offer[]): ActionEntry => {
  const { name, file } = offers[0]!
  const places = offers.map(({ file, action }) => (isWhole(action) ? file : told`${action.exportName} in ${file}`))
  const error = told`${allOf(places)} both have this name; rename one of them`
  return { name, file, isAmbiguous: true, ...notLoaded(error) }
}
