import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const systemFolders = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/usr/libexec']

/** Why tests with a real MariaDB cannot run here, or false: for the `skip` option of a test. */
export function mariadbMissing(): string | false {
  if (process.env.BGTASK_SKIP_MARIADB) return process.env.BGTASK_SKIP_MARIADB
  const missing = ['mariadbd', 'mariadb-install-db'].filter(name => !findProgram(name))
  return missing.length > 0 && `${missing.join(' and ')} not found: install mariadb-server`
}

/** Why tests in a real browser cannot run here, or false: for the `skip` option of a test. */
export function chromiumMissing(): string | false {
  if (process.env.BGTASK_SKIP_BROWSER) return process.env.BGTASK_SKIP_BROWSER
  return !chromiumOrNone() && 'no Chromium found: install chromium, or name one by BGTASK_CHROMIUM'
}

/** Path of the browser to test with. Throws when there is none: ask chromiumMissing() first. */
export function chromiumPath(): string {
  const path = chromiumOrNone()
  if (!path) throw new Error('No Chromium found: install chromium, or name one by BGTASK_CHROMIUM.')
  return path
}

/** Why tests with a real Prometheus cannot run here, or false: for the `skip` option of a test. Nothing installs it by itself. */
export function prometheusMissing(): string | false {
  const missing = ['prometheus', 'promtool'].filter(name => !findProgram(name))
  return missing.length > 0 && `${missing.join(' and ')} not found: install prometheus`
}

/** Whether the browser is the one that works least for the same pages, so that there is nothing better to bring. */
export function hasHeadlessShell(): boolean {
  return Boolean(process.env.BGTASK_CHROMIUM || findProgram(headlessShell))
}

/** Path of a program, also of one that only root has on PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...systemFolders]
  return folders.map(folder => join(folder, name)).find(isExecutable)
}

/** A program to put before a command so that the kernel ends it with us, also when we are killed and can end nobody. Empty where there is none. */
export function endWithParent(): string[] {
  const setpriv = findProgram('setpriv')
  return setpriv ? [setpriv, '--pdeathsig', 'KILL'] : []
}

/** Chromium without all that makes windows. */
export const headlessShell = 'chromium-headless-shell'
const chromiums = [headlessShell, 'chromium', 'chromium-browser', 'google-chrome']

function chromiumOrNone(): string | undefined {
  const given = process.env.BGTASK_CHROMIUM
  if (given) return isExecutable(given) ? given : undefined
  return chromiums.map(findProgram).find(Boolean)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
