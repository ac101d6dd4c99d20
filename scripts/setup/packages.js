import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { npm } from './npm.js'
import { say } from './say.js'
import { whileLocked } from './set-up-lock.js'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const stampFile = join(root, 'node_modules', '.bgtask-setup')

/**
 * Sees to it that the packages of package-lock.json are there. Never takes away what is there: after the tests have brought
 * the development packages, a start keeps them.
 * @param {'prod' | 'all'} kind what is needed: to run, or also to develop and test
 * @param {string} node the Node that npm runs under
 */
export async function setUpPackages(kind, node) {
  if (isDone(kind)) return
  await whileLocked(async lock => {
    if (isDone(kind)) return
    const there = installedByHand() ?? stamp()
    if (there?.hash === lockHash() && (kind === 'prod' || there.kind === 'all')) return writeStamp(there.kind)
    const wanted = there?.kind === 'all' ? 'all' : kind
    say(`installing the packages${wanted === 'all' ? ', those for the tests too' : ''} …`)
    await npm(installArguments(wanted, there), { folder: root, node, lock })
    writeStamp(wanted)
    say('the packages are installed')
  })
}

/** `npm ci` empties node_modules first. Where only the packages for the tests are missing, a server may be running on the others. */
function installArguments(wanted, there) {
  if (there?.hash === lockHash()) return ['install', '--no-save', '--include=dev', '--include=optional']
  return wanted === 'all' ? ['ci', '--include=dev', '--include=optional'] : ['ci', '--omit=dev']
}

function isDone(kind) {
  const there = stamp()
  return there?.hash === lockHash() && (kind === 'prod' || there.kind === 'all')
}

/** @returns {{ hash: string, kind: 'prod' | 'all' } | undefined} what our last finished set-up installed (`npm ci` removes the stamp first) */
function stamp() {
  if (!existsSync(stampFile)) return undefined
  const [hash, kind] = readFileSync(stampFile, 'utf8').trim().split(' ')
  return { hash, kind }
}

function writeStamp(kind) {
  writeFileSync(stampFile, `${lockHash()} ${kind}\n`)
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
}

/** What somebody's own `npm ci` or `npm install` left: npm's list of installed packages, compared with the lock file. */
function installedByHand() {
  const listFile = join(root, 'node_modules', '.package-lock.json')
  if (existsSync(stampFile) || !existsSync(listFile)) return undefined
  const installed = JSON.parse(readFileSync(listFile, 'utf8')).packages ?? {}
  const wanted = Object.entries(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages).filter(([path]) => path)
  const isThere = ([path, { version, optional }]) => optional || (installed[path]?.version === version && existsSync(join(root, path)))
  const development = wanted.filter(([, { dev }]) => dev)
  const hasDevelopment = development.some(([path]) => installed[path])
  const complete = wanted.filter(([, { dev }]) => !dev || hasDevelopment).every(isThere)
  return { hash: complete ? lockHash() : '', kind: hasDevelopment ? 'all' : 'prod' }
}
