import { spawnSync } from 'node:child_process'
import { say } from './say.js'

/**
 * Brings programs by Debian's packages where this user may install any (root, or sudo without a password).
 * @param {string[]} packages
 * @returns {string | undefined} why not, when they could not be installed
 */
export function installDebianPackages(packages) {
  const how = howToInstall()
  if (!how.command) return `${how.because}; install ${packages.join(' ')} by hand`
  say(`installing ${packages.join(' ')} …`)
  // An out-of-date list is no reason to stop: the packages may be found all the same.
  const updated = aptGet(how.command, ['update'])
  const failed = aptGet(how.command, ['install', '-y', '--no-install-recommends', ...packages])
  if (failed)
    return `apt-get install ${packages.join(' ')} failed: ${lastLine(failed)}${updated ? `; apt-get update: ${lastLine(updated)}` : ''}`
  say(`${packages.join(' ')} installed`)
}

function howToInstall() {
  if (!runs('apt-get', ['--version'])) return { because: 'there is no apt-get on this system' }
  if (process.getuid?.() === 0) return { command: ['env'] }
  if (runs('sudo', ['-n', 'true'])) return { command: ['sudo', '-n', 'env'] }
  return { because: 'this user may not install packages (neither root nor sudo without a password)' }
}

/** @returns {string | undefined} what apt-get said, when it failed */
function aptGet([command, ...first], args) {
  const env = ['DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C']
  const { status, error, stdout, stderr } = spawnSync(command, [...first, ...env, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  return status === 0 ? undefined : `${stdout ?? ''}${stderr ?? ''}${error ?? ''}` || `exit code ${status}`
}

const runs = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

const lastLine = text => text.trim().split('\n').at(-1) ?? ''
