import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { moduleEnding, packageRoot } from '../paths.ts'

/**
 * Lets an action that lies outside of this checkout say `import … from 'bgtask'`, as one inside of it can: Node looks for packages
 * upwards from the importing file, and there is none. A package of that name that is found there goes first.
 */
export const resolveBgtask = (): void => {
  const url = pathToFileURL(join(packageRoot, moduleEnding === '.ts' ? 'app' : 'dist', `index${moduleEnding}`)).href
  process.getBuiltinModule('node:module').registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier !== 'bgtask') return next(specifier, context)
      try {
        return next(specifier, context)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
        return { url, shortCircuit: true }
      }
    },
  })
}
