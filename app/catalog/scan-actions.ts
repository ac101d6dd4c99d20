import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'

/** A file that is an action by its place and name. Its content is not looked at. */
export interface ActionFile {
  /** `report/build` for report/build.ts. */
  name: string
  /** Absolute path. */
  file: string
  /** The export that is called, unless the file turns out to use `export default defineAction(…)`. */
  exportName: string
  /** Changes when the file does. */
  stamp: string
}

export const actionName = /^[a-z][a-z0-9_-]{0,31}(\/[a-z][a-z0-9_-]{0,31}){1,3}$/
const deepest = 4

/**
 * Every file below `folder` that is an action, sorted by name. Left out: files directly in it (an action's name has a slash), what begins with
 * `_` or `.`, tests, declarations, and JavaScript beside TypeScript of the same name. A folder that is not there holds none.
 * @throws BgtaskError `misconfigured` when the folder cannot be read
 */
export const scanActions = (folder: string): ActionFile[] => {
  const found = new Map<string, ActionFile>()
  for (const { path, stamp } of filesBelow(folder, '', 1)) {
    const name = path.replace(/\.[tj]s$/, '')
    if (!actionName.test(name) || (found.has(name) && path.endsWith('.js'))) continue
    found.set(name, { name, file: join(folder, path), exportName: 'execute', stamp })
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Code below `folder` that looks as if it were meant to be an action, and is none by its place or name: which, and why. */
export const misnamedFiles = (folder: string): { path: string; why: string }[] =>
  filesBelow(folder, '', 1, /\.[cm]?[tj]s$/).flatMap(({ path }) => {
    const why = whyNone(path)
    return why === null ? [] : [{ path, why }]
  })

const whyNone = (path: string): string | null => {
  const name = path.replace(/\.[tj]s$/, '')
  if (name === path) return 'only files that end in .ts or .js are looked at'
  if (!path.includes('/')) return 'the name of an action has a slash, so its file lies in a folder'
  return actionName.test(name)
    ? null
    : `${name} is no name; allowed are small letters first, then small letters, digits, _ and -, at most 32 in each part`
}

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
      `The actions folder ${folder} cannot be read (${messageOf(error)}). Make it readable, or set BGTASK_ACTIONS to another folder.`,
      { cause: error },
    )
  }
}
