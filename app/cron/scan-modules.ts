import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'
import { told } from '../task/told.ts'

/** A file that is a module by its name. Its content is not looked at. */
export interface ModuleFile {
  /** `shop` for shop.ts. */
  name: string
  /** Absolute path. */
  file: string
  /** Changes when the file does. */
  stamp: string
}

export const moduleName = /^[a-z][a-z0-9_-]{0,63}$/

/**
 * Every file directly in `folder` that is a module, sorted by name. Left out: what begins with `_` or `.`, tests, declarations, and JavaScript
 * beside TypeScript of the same name. A folder that is not there holds none.
 * @throws BgtaskError `misconfigured` when the folder cannot be read
 */
export const scanModules = (folder: string): ModuleFile[] => {
  const found = new Map<string, ModuleFile>()
  for (const name of codeIn(folder)) {
    const module = name.replace(/\.[tj]s$/, '')
    if (!moduleName.test(module) || (found.has(module) && name.endsWith('.js'))) continue
    const stat = statSync(join(folder, name), { throwIfNoEntry: false })
    if (stat?.isFile()) found.set(module, { name: module, file: join(folder, name), stamp: `${stat.mtimeMs}-${stat.size}` })
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Code that looks as if it were meant to be a module, and is none by its name. */
export const misnamedModules = (folder: string): string[] => codeIn(folder).filter(name => !moduleName.test(name.replace(/\.[tj]s$/, '')))

const codeIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
      .filter(name => /\.[tj]s$/.test(name) && !/^[._]/.test(name) && !/\.(test|d)\.[tj]s$/.test(name))
      .sort()
      .reverse() // .ts before .js of the same name
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new BgtaskError(
      'misconfigured',
      told`The modules folder ${folder} cannot be read (${messageOf(error)}). Make it readable, or set BGTASK_MODULES to another folder.`,
      { cause: error },
    )
  }
}
