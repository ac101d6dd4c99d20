import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { startMariaDb } from '../../../test/helpers/mariadb.ts'
import { describeForAll } from '../../../test/helpers/shared-descriptions.ts'
import { chromiumMissing, hasHeadlessShell, headlessShell, mariadbMissing, prometheusMissing } from '../../../test/helpers/tools.ts'
import { installDebianPackages } from '../debian-packages.js'
import { Failure, Interrupted } from '../failure.js'
import { say } from '../say.js'
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
  const started = performance.now()
  bringTools()
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => interruption.abort(new Interrupted(signal)))
  // What Node compiled for one test process is there for all others: see test/helpers/shared-compile-cache.ts.
  const compileCache = mkdtempSync(join(tmpdir(), 'bgtask-compiled-'))
  process.env.NODE_COMPILE_CACHE = compileCache
  await describeForAll(compileCache)
  const database = mariadbMissing() ? undefined : await startMariaDb({ arguments: withoutSync })
  if (database) process.env.BGTASK_TEST_MYSQL = database.adminUrl
  try {
    // The first files wait for servers and browsers to start: the checks, which wait for nothing, fill that time.
    const [typeCheck, lint, ran] = await Promise.all([runCheck('type check'), runCheck('lint'), runFiles(files, interruption.signal)])
    const results = [typeCheck, lint, ...ran]
    interruption.signal.throwIfAborted()
    return printSummary(results, performance.now() - started)
  } finally {
    await database?.stop()
    rmSync(compileCache, { recursive: true, force: true, maxRetries: 5 })
  }
}

/**
 * Nobody takes the power from the shared server: what it wrote is safe with the kernel, and a hundred databases with all their tables are made
 * without waiting for the disk. A test that hurts a server starts one of its own, which syncs.
 */
const withoutSync = ['--debug-no-sync', '--innodb-flush-method=nosync']

/**
 * Most files run beside others, one for each core, since each waits for something now and then. Those that do little but wait for the product's own
 * time limits are named *.waits.test.ts and run beside them, two at once; when none of these is left, one more of the others runs instead. Then
 * come those that want a machine which is not busy, *.calm.test.ts, two at once; and at last those that need its two cores and its clock for
 * themselves, *.alone.test.ts, one by one.
 */
async function runFiles(files, signal) {
  const kindOf = file => /\.(alone|calm|waits)\.test\.ts$/.exec(file)?.[1] ?? 'together'
  const of = kind => inOrder(files.filter(file => kindOf(file) === kind))
  const [together, waits, calm, alone] = [of('together'), of('waits'), of('calm'), of('alone')]
  const lanes = Array.from({ length: Math.min(availableParallelism(), 3) }, () => [together])
  const results = await runAll([...lanes, [waits, together], [waits]], signal)
  results.push(...(await runAll([[calm], [calm]], signal)))
  results.push(...(await runAll([[alone]], signal)))
  return results
}

/** What takes longest begins first, so that none of it is left when all others are done. The end of a run shows what belongs here. */
const longest = [
  'web/every-page.browser',
  'web/foreign-pages.browser',
  'web/foreign-pages-lan.browser',
  'web/route-matrix',
  'cli/commands',
  'store/explain',
  'supervisor/residents',
  'web/people.browser',
  'web/fuzz',
  'web/login',
  // Of the calm ones those that sleep most run beside the first two, which keep a core busy and look at the clock.
  'set-up/fresh-clone',
  'supervisor/database-away',
  'supervisor/child-faults',
  'web/panel.browser',
  'supervisor/limits',
  'supervisor/supervisor-killed',
  'supervisor/hard-cases',
  'web/causes',
  'supervisor/one-supervisor',
  'web/holds-still',
  'notify/silent-host',
  'web/cut-off',
  'supervisor/resident-faults',
  'notify/incidents',
  'supervisor/disk-faults',
]

function inOrder(files) {
  const isLong = file => longest.some(start => file.startsWith(`test/${start}.`))
  const rank = file => longest.findIndex(start => file.startsWith(`test/${start}.`))
  return [...files.filter(isLong).sort((one, other) => rank(one) - rank(other)), ...files.filter(file => !isLong(file))]
}

/** @param {string[][][]} lanes all at once; in each the next file of its first queue, and when that is empty of its second */
async function runAll(lanes, signal) {
  const results = []
  const run = async queues => {
    for (const queue of queues) {
      for (let file = queue.shift(); file && !signal.aborted; file = queue.shift()) results.push(await runFile(file, signal))
    }
  }
  await Promise.all(lanes.map(run))
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

/** MariaDB and a browser: present, brought from Debian, or said loudly to be missing. Prometheus is used where it is there, and not brought. */
function bringTools() {
  if (!process.env.BGTASK_SKIP_BROWSER && !hasHeadlessShell()) {
    // Somebody's own machine, where another one will do, is left as it is.
    const because = chromiumMissing() || process.env.CI ? installDebianPackages([headlessShell]) : `install ${headlessShell} by hand`
    if (because) say(`without ${headlessShell} the tests use a whole Chromium, and take longer: ${because}`)
  }
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
    shout(name, process.env[skip])
  }
  const missing = prometheusMissing()
  if (missing) shout('Prometheus', missing)
}

const shout = (name, because) => {
  const line = `!!! TESTS WITH ${name.toUpperCase()} ARE SKIPPED: ${because}`
  console.log(`\n${'!'.repeat(80)}\n${line}\n${'!'.repeat(80)}\n`)
}
