import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'
import { type Sentence, told } from '../task/told.ts'
import type { RefusedFile } from './action-entry.ts'

/** A file that holds an action, or several, by its place and name. Its content is not looked at. */
export interface ActionFile {
  /** `report/build` for report/build.ts: the name of its action, or how the names of all in it begin. */
  path: string
  /** Absolute path. */
  file: string
  /** Changes when the file does. */
  stamp: string
}

export const actionName = /^[a-z][a-z0-9_-]{0,31}(\/[a-z][a-z0-9_-]{0,31}){1,3}$/
const pathOfFile = /^[a-z][a-z0-9_-]{0,31}(\/[a-z][a-z0-9_-]{0,31}){0,3}$/
const deepest = 4

/** Names that begin so are those of the actions which come with bgtask, and of no other. */
export const ownPrefix = 'core/'

/** Where those lie. */
export const ownFolder = join(import.meta.dirname, '..', 'core')

/**
 * Every file in the given folders that holds actions, each folder's sorted by name, and after them bgtask's own. A folder that cannot be read is
 * refused as a whole, and so is what takes a name of ours.
 * @throws BgtaskError `misconfigured` when none of the folders can be read
 */
export const scanFolders = (folders: readonly string[]): { files: ActionFile[]; refused: RefusedFile[] } => {
  const files: ActionFile[] = []
  const refused: RefusedFile[] = []
  let unread: unknown
  let anyRead = folders.length === 0
  for (const folder of folders) {
    try {
      for (const found of scanActions(folder)) {
        if (isOwn(found.path)) refused.push({ file: found.file, why: ownSentence, isFolder: false })
        else files.push(found)
      }
      anyRead = true
    } catch (error) {
      unread ??= error
      refused.push({ file: folder, why: told`cannot be read (${messageOf((error as Error).cause ?? error)})`, isFolder: true })
    }
  }
  if (!anyRead) throw unread
  const own = scanActions(ownFolder).map(found => ({ ...found, path: ownPrefix + found.path }))
  return { files: [...files, ...own], refused }
}

const isOwn = (path: string) => `${path}/`.startsWith(ownPrefix)
const ownSentence = told`cannot be an action of yours, since names that begin with ${ownPrefix} are those of bgtask itself: give it another name`

/**
 * Every file below `folder` that holds actions, sorted by name. Left out: what begins with `_` or `.`, tests, declarations, and JavaScript beside
 * TypeScript of the same name. A folder that is not there holds none.
 * @throws BgtaskError `misconfigured` when the folder cannot be read
 */
export const scanActions = (folder: string): ActionFile[] => {
  const found = new Map<string, ActionFile>()
  for (const { path: fileName, stamp } of filesBelow(folder, '', 1)) {
    const path = fileName.replace(/\.[tj]s$/, '')
    if (!pathOfFile.test(path) || (found.has(path) && fileName.endsWith('.js'))) continue
    found.set(path, { path, file: join(folder, fileName), stamp })
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/**
 * Where an action of that name would lie, for as long as its file has not been described: a file of the whole name, or else the export of a file.
 * @returns null when there is neither
 */
export const guessAction = (folders: readonly string[], name: string): { file: string; exportName: string } | null => {
  const { files } = scanFolders(folders)
  const whole = files.find(({ path }) => path === name)
  if (whole) return { file: whole.file, exportName: 'execute' }
  const cut = name.lastIndexOf('/')
  const holder = files.find(({ path }) => path === name.slice(0, cut))
  return holder ? { file: holder.file, exportName: name.slice(cut + 1) } : null
}

/** Code below `folder` that looks as if it were meant to be an action, and is none by its name: which, and why. */
export const misnamedFiles = (folder: string): { path: string; why: Sentence }[] =>
  filesBelow(folder, '', 1, /\.[cm]?[tj]s$/).flatMap(({ path }) => {
    const why = whyNone(path)
    return why === null ? [] : [{ path, why }]
  })

const whyNone = (path: string): Sentence | null => {
  const name = path.replace(/\.[tj]s$/, '')
  if (name === path) return told`only files that end in .ts or .js are looked at`
  return pathOfFile.test(name) ? null : told`${name} is no name; ${allowedNames}`
}

export const allowedNames = told`allowed are small letters first, then small letters, digits, _ and -, at most 32 in each part, and at most four parts`

const filesBelow = (folder: string, within: string, depth: number, code = /\.[tj]s$/): { path: string; stamp: string }[] =>
  entriesOf(join(folder, within)).flatMap(entry => {
    if (/^[._]/.test(entry.name)) return []
    const path = within ? `${within}/${entry.name}` : entry.name
    const stat = statSync(join(folder, path), { throwIfNoEntry: false }) // follows links; a dangling one is nothing
    if (stat?.isDirectory()) return depth < deepest ? filesBelow(folder, path, depth + 1, code) : []
    return stat?.isFile() && code.test(entry.name) && !isOther(entry.name) ? [{ path, stamp: `${stat.mtimeMs}-${stat.size}` }] : []
  })

const isOther = (name: string) => /\.(test|d)\.[cm]?[tj]s$/.test(name)

const entriesOf = (folder: string): Dirent[] => {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new BgtaskError(
      'misconfigured',
      told`The actions folder ${folder} cannot be read (${messageOf(error)}). Make it readable, or set BGTASK_ACTIONS to another folder.`,
      { cause: error },
    )
  }
}
