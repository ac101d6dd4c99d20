import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkoutManifest, manifest, root } from './manifests.ts'
import { restoreManifest } from './restore-manifest.ts'

/*
 * What `npm pack` runs first. Node strips no types below node_modules, so the package has JavaScript in dist/, made by the TypeScript compiler
 * of every file that an installed package may need. package.json says where things are; while it is packed it names dist/ instead of app/.
 * npm reads it after this, and `postpack` puts the one of the checkout back; should that never run, the next `npm pack` does.
 */

const dist = join(root, 'dist')

const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
if (!existsSync(compiler)) {
  console.error('The TypeScript compiler is not installed: `npm start` brings only what runs bgtask. Say `npm ci`, then `npm pack` again.')
  process.exit(1)
}
restoreManifest()
rmSync(dist, { recursive: true, force: true })
execFileSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.dist.json')], {
  stdio: 'inherit',
})
const given = JSON.parse(readFileSync(manifest, 'utf8')) as Manifest
keepDeclarationsOf(Object.values(given.exports).flatMap(target => (isSource(target) ? [built(target, '.d.ts')] : [])))
copyFileSync(manifest, checkoutManifest)
writeFileSync(manifest, `${JSON.stringify(packed(given), null, 2)}\n`)

interface Manifest {
  exports: Record<string, string>
  private?: boolean
  scripts?: object
  devDependencies?: object
  [more: string]: unknown
}

/** Nobody who installs it can run what stands only in the checkout. */
function packed({ private: _private, scripts: _scripts, devDependencies: _devDependencies, ...rest }: Manifest) {
  const exports = Object.entries(rest.exports).map(([name, target]) => [
    name,
    isSource(target) ? { types: `./${built(target, '.d.ts')}`, default: `./${built(target, '.js')}` } : target,
  ])
  return { ...rest, exports: Object.fromEntries(exports) }
}

function isSource(target: string) {
  return target.startsWith('./app/')
}

function built(target: string, ending: string) {
  return target.replace(/^\.\/app\//, 'dist/').replace(/\.ts$/, ending)
}

/** Types are for those who import one of these; what they lead to is kept, and speaks of what is there (`./task.js`). */
function keepDeclarationsOf(entries: string[]) {
  const kept = new Set(entries.map(entry => join(root, entry)))
  for (const file of kept) {
    const text = readFileSync(file, 'utf8').replace(/((?:from |import\()['"]\.[^'"]*)\.ts(?=['"])/g, '$1.js')
    writeFileSync(file, text)
    for (const [, specifier] of text.matchAll(/(?:from |import\()['"](\.[^'"]*)\.js['"]/g)) {
      const next = join(dirname(file), `${specifier}.d.ts`)
      if (!existsSync(next)) throw new Error(`${file} speaks of ${specifier}, which is not in the package.`)
      kept.add(next)
    }
  }
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.d.ts') && !kept.has(join(dist, name))) rmSync(join(dist, name))
}
