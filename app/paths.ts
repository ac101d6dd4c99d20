import { readFileSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'

/** The package itself: views, public files, our own actions. */
export const packageRoot = join(import.meta.dirname, '..')

/** We are a package in somebody's application, and no checkout. */
export const isInstalled = packageRoot.split(sep).includes('node_modules')

/** Where runtime/ and the user's own code lie: the checkout, or the folder the command was given in when we are an installed package. */
export const workRoot = isInstalled ? process.cwd() : packageRoot

/** How our command line is called here. */
export const ourCommand = isInstalled ? 'npx bgtask' : 'node index.js'

/** File ending of our own modules: .ts in a checkout, .js in the published package. */
export const moduleEnding = import.meta.filename.endsWith('.ts') ? '.ts' : '.js'

export const launcher = join(packageRoot, 'index.js')
export const inPackage = (...parts: string[]) => join(packageRoot, ...parts)
export const inWorkFolder = (path: string) => resolve(workRoot, path)

let versionRead: string | undefined
export const packageVersion = (): string => {
  versionRead ??= (JSON.parse(readFileSync(inPackage('package.json'), 'utf8')) as { version: string }).version
  return versionRead
}
