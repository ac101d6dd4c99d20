import { sep } from 'node:path'
import { messageOf } from '../errors.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { readJson, writeJson } from '../runs/write-file.ts'
import { nearestNames } from '../task/nearest-names.ts'
import type { Sentence } from '../task/told.ts'
import { type ActionEntry, type FileDescription, notLoaded, type RefusedFile } from './action-entry.ts'
import { arrangeActions } from './arrange-actions.ts'
import { type CatalogConfig, describeFiles, neverEnds } from './describe-files.ts'
import { type ActionFile, scanFolders } from './scan-actions.ts'

export type { ActionEntry, RefusedFile } from './action-entry.ts'

/** The map of the actions: a name is looked up here and never made into a path. */
export interface Catalog {
  /** Sorted by name. */
  readonly entries: readonly ActionEntry[]
  /** Files that can be no action, folders that cannot be read, and why. */
  readonly refused: readonly RefusedFile[]
  get(name: string): ActionEntry | undefined
  /** At most three names like the given one, best first. */
  nearest(name: string): string[]
}

/**
 * The actions as they lie in the folders now, or half a second before, with our own. May be called often: the folders are looked at no more than twice a
 * second, and only files that changed are described anew; what was learnt is kept in memory and in runtime/actions.json.
 * @throws BgtaskError `misconfigured` when none of the folders can be read
 */
export const loadCatalog = async (config: CatalogConfig): Promise<Catalog> => {
  const key = JSON.stringify([config.actions, config.runtime])
  const shelf = shelves.get(key) ?? { lookedAt: Number.NEGATIVE_INFINITY, catalog: null, looking: null, seen: '', known: new Map() }
  shelves.set(key, shelf)
  const recentlyAt = performance.now() - lookEveryMs
  // A file may take seconds to be described: what came into the folder meanwhile is not in a look that began before.
  while (shelf.catalog === null || shelf.lookedAt < recentlyAt) {
    shelf.looking ??= look(shelf, config).finally(() => (shelf.looking = null))
    await shelf.looking
  }
  return shelf.catalog
}

const lookEveryMs = 500
/** An action that does not load may be mended without a change of its own file: by a package that is installed, say. */
const retryBrokenMs = 30_000

interface Known {
  stamp: string
  said: FileDescription
  /** Milliseconds since 1970. */
  describedAt: number
}

interface Shelf {
  /** When the last look that is over began. */
  lookedAt: number
  catalog: Catalog | null
  looking: Promise<void> | null
  /** What lay in the folders when the catalog was arranged. */
  seen: string
  /** By path. */
  known: Map<string, Known>
}
const shelves = new Map<string, Shelf>()

const look = async (shelf: Shelf, config: CatalogConfig): Promise<void> => {
  const beganAt = performance.now()
  const { files, refused } = scanFolders(config.actions)
  const isKnown = ({ file, stamp }: ActionFile) => shelf.known.get(file)?.stamp === stamp
  const seen = JSON.stringify([files, refused])
  if (seen !== shelf.seen) {
    if (!files.every(isKnown)) recall(shelf, config)
    await learn(
      shelf,
      config,
      files.filter(file => !isKnown(file)),
    )
    arrange(shelf, config, files, refused)
    shelf.seen = seen
  }
  retryBroken(shelf, config, files, refused)
  shelf.lookedAt = beganAt
}

/** Describes files and keeps what they say, here and for the other processes of this runtime folder. */
const learn = async (shelf: Shelf, config: CatalogConfig, files: readonly ActionFile[]) => {
  if (files.length === 0) return
  const descriptions = await describeFiles(
    config,
    files.map(({ file }) => file),
  )
  for (const [index, { file, stamp }] of files.entries()) {
    // An error may quote what the action found in its environment.
    const said = hideSecretsIn(descriptions[index]!, text => redactionOf(config).text(text))
    shelf.known.set(file, { stamp, said, describedAt: Date.now() })
  }
  remember(shelf, config)
}

const hideSecretsIn = <T extends { error: Sentence | null; actions?: { error: Sentence | null }[] }>(
  said: T,
  hide: (text: string) => string,
): T => ({
  ...said,
  error: said.error && hide(String(said.error)),
  ...(said.actions && { actions: said.actions.map(action => hideSecretsIn(action, hide)) }),
})

const arrange = (shelf: Shelf, config: CatalogConfig, files: readonly ActionFile[], unread: readonly RefusedFile[]) => {
  const present = new Set(files.map(({ file }) => file))
  for (const file of shelf.known.keys()) {
    if (config.actions.some(folder => file.startsWith(folder + sep)) && !present.has(file)) shelf.known.delete(file)
  }
  const { entries, refused, broken } = arrangeActions(files.map(({ path, file }) => ({ path, file, said: shelf.known.get(file)!.said })))
  const byName = new Map(entries.map(entry => [entry.name, entry]))
  // What a file that does not load would hold is not known: it may well be what is asked for.
  const inBroken = (name: string): ActionEntry | undefined => {
    const holder = broken.find(({ path }) => name.startsWith(`${path}/`) && !name.slice(path.length + 1).includes('/'))
    return holder && { name, file: holder.file, isAmbiguous: false, ...notLoaded(holder.error, name.slice(holder.path.length + 1)) }
  }
  shelf.catalog = {
    entries,
    refused: [...unread, ...refused],
    get: name => byName.get(name) ?? inBroken(name),
    nearest: name => nearestNames(name, [...byName.keys()]),
  }
}

/** In the background: who asks now gets what is known. */
const retryBroken = (shelf: Shelf, config: CatalogConfig, files: readonly ActionFile[], refused: readonly RefusedFile[]) => {
  const due = files.filter(({ file }) => isStale(shelf.known.get(file)!))
  if (due.length === 0) return
  for (const { file } of due) shelf.known.get(file)!.describedAt = Date.now()
  learn(shelf, config, due).then(
    () => arrange(shelf, config, files, refused),
    error => console.error(`bgtask: the actions could not be described: ${messageOf(error)}`),
  )
}

const isStale = ({ said, describedAt }: Known) => isBroken(said) && Math.abs(Date.now() - describedAt) > retryBrokenMs
const isBroken = ({ error, actions }: FileDescription) => error !== null || actions.some(({ error }) => error !== null)

/** Raised when what is stored about an action changes its form. */
const format = 4

interface Stored {
  format: number
  files: Record<string, Known>
}

const recall = (shelf: Shelf, config: CatalogConfig) => {
  const stored = readStored(runtimePaths(config.runtime).catalog)
  if (stored?.format !== format) return
  for (const [file, known] of Object.entries(stored.files)) {
    if (shelf.known.get(file)?.stamp === known.stamp) continue
    // A command lives shorter than the next try in the background. What takes the whole limit is left to that all the same.
    const tryNow = isStale(known) && !known.said.error?.startsWith(neverEnds)
    if (!tryNow) shelf.known.set(file, known)
  }
}

// A run of another user may not read it, and describes the files itself.
const readStored = (path: string): Stored | null => {
  try {
    return readJson<Stored>(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return null
    throw error
  }
}

const remember = (shelf: Shelf, config: CatalogConfig) => {
  const files = Object.fromEntries(shelf.known)
  try {
    writeJson(runtimePaths(config.runtime).catalog, { format, files } satisfies Stored)
  } catch (error) {
    // Only other processes have to describe the files again then; whether runtime/ can be written is told elsewhere.
    if (!(error instanceof Error && 'code' in error)) throw error
  }
}
