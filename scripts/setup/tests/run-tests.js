import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { startMariaDb } from '../../../test/helpers/mariadb.ts'
import { chromiumMissing, mariadbMissing } from '../../../test/helpers/tools.ts'
import { installDebianPackages } from '../debian-packages.js'
import { Failure, Interrupted } from '../failure.js'
import { runCheck } from './run-check.js'
import { runFile } from './run-file.js'
import { printSummary } from './summary.js'

const root = join(import.meta.dirname, '..', '..', '..')

/**
 * Type check, lint and the test files; prints what happened, at the very end one line of counts.
 * @param {string[]} filters parts of file names; all files when there is none
 * @returns {Promise<number>} exit code
 */
export async function runTests(filters) {
  const files = testFiles(filters)
  if (files.length === 0) throw new Failure(`No test file matches ${filters.join(' or ')}.`, 'Give a part of a path below test/.')
  bringTools()
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => interruption.abort(new Interrupted(signal)))
  const database = mariadbMissing() ? undefined : await startMariaDb()
  if (database) process.env.BGTASK_TEST_MYSQL = database.adminUrl
  try {
    const results = [...(await Promise.all([runCheck('type check'), runCheck('lint')])), ...(await runFiles(files, interruption.signal))]
    interruption.signal.throwIfAborted()
    return printSummary(results)
  } finally {
    await database?.stop()
  }
}

/**
 * Files that need the machine for themselves (its two cores, its clock) are named *.alone.test.ts and come last. Those that do little but wait for
 * the product's own time limits are named *.waits.test.ts and run one after another beside all others.
 */
async function runFiles(files, signal) {
  const kindOf = file => /\.(alone|waits)\.test\.ts$/.exec(file)?.[1] ?? 'together'
  const of = kind => files.filter(file => kindOf(file) === kind)
  const [together, waiting] = await Promise.all([
    runAll(of('together'), Math.min(availableParallelism(), 4), signal),
    runAll(of('waits'), 1, signal),
  ])
  return [...together, ...waiting, ...(await runAll(of('alone'), 1, signal))]
}

async function runAll(files, atOnce, signal) {
  const waiting = [...files]
  const results = []
  const worker = async () => {
    for (let file = waiting.shift(); file && !signal.aborted; file = waiting.shift()) results.push(await runFile(file, signal))
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}

function testFiles(filters) {
  return readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
    .filter(file => !file.includes('/fixtures/'))
    .filter(file => filters.length === 0 || filters.some(filter => file.includes(filter)))
    .sort()
}

/** MariaDB and a browser: present, brought from Debian, or said loudly to be missing. */
function bringTools() {
  const tools = [
    // The server without its service: nothing is started or enabled on this machine.
    { name: 'MariaDB', missing: mariadbMissing, packages: ['mariadb-server-core', 'mariadb-client-core'], skip: 'BGTASK_SKIP_MARIADB' },
    { name: 'Chromium', missing: chromiumMissing, packages: ['chromium'], skip: 'BGTASK_SKIP_BROWSER' },
  ]
  for (const { name, missing, packages, skip } of tools) {
    if (!missing()) continue
    const because = process.env[skip] || installDebianPackages(packages)
    if (!missing()) continue
    process.env[skip] = `${name} is missing: ${because ?? 'its packages are installed, but its programs are not found'}`
    const line = `!!! TESTS WITH ${name.toUpperCase()} ARE SKIPPED: ${process.env[skip]}`
    console.log(`\n${'!'.repeat(80)}\n${line}\n${'!'.repeat(80)}\n`)
  }
}
