import { spawn } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { type Guard, guards } from './guards/list.ts'

/*
 * A mutation check of the tests: `node scripts/remove-guards.ts [part of a name …] [1/2]` takes each guard out of a copy of the code, one after
 * another, and demands that one of the tests named with it fails. Prints which test caught it, or SURVIVED. Leaves with 1 when one survived,
 * when a guard is not where the list says, or when the code does not load without it (then the test would fail for that).
 * `1/2` tries every second one, so that two machines share the work. It takes long, and should have the machine for itself.
 */

const root = join(import.meta.dirname, '..')
const perFileMs = 300_000

const share = process.argv.slice(2).find(text => /^\d+\/\d+$/.test(text)) ?? '1/1'
const [nth, of] = share.split('/').map(Number)
const filters = process.argv.slice(2).filter(text => text !== share)
const chosen = guards
  .filter(({ name }) => filters.length === 0 || filters.some(part => name.includes(part)))
  .filter((_, index) => index % of! === nth! - 1)
if (chosen.length === 0) throw new Error(`No guard is called ${filters.join(' or ')}.`)

const copy = mkdtempSync(join(tmpdir(), 'bgtask-guards-'))
// Tests of children of other users need what they run to be readable.
chmodSync(copy, 0o755)
const left = ['.git', 'node_modules', 'runtime']
cpSync(root, copy, { recursive: true, filter: source => !left.some(name => relative(root, source).split('/').includes(name)) })
for (const folder of ['node_modules', join('scripts', 'node', 'node_modules')]) symlinkSync(join(root, folder), join(copy, folder))

interface Ran {
  failed: boolean
  /** The first test that failed. */
  by: string
}

const runTests = async (file: string): Promise<Ran> => {
  // Its own process group, so that nothing of a test that was ended stays behind.
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', file], {
    cwd: copy,
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, BGTASK_LOG_LEVEL: 'silent' },
  })
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  const timer = new AbortController()
  const late = delay(perFileMs, 'late' as const, { signal: timer.signal }).catch(() => 'late' as const)
  const code = await Promise.race([ended, late])
  timer.abort()
  if (code === 'late') {
    process.kill(-child.pid!, 'SIGKILL')
    await ended
    return { failed: true, by: `did not end within ${perFileMs / 1000} s` }
  }
  // The file itself is the last test that fails; what failed in it stands further in.
  const names = [...output.matchAll(/^\s*not ok \d+ - (.*)$/gm)].map(found => found[1]!)
  return { failed: code !== 0, by: names.find(name => !name.endsWith('.test.ts')) ?? names[0] ?? `exit code ${code}` }
}

/** Whether the changed file can still be loaded: else a test fails for want of code, and not for want of the guard. */
const loads = (path: string): Promise<string | null> =>
  new Promise(resolve => {
    if (!path.endsWith('.ts')) return resolve(null)
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', `await import(${JSON.stringify(pathToFileURL(path).href)}); process.exit(0)`],
      {
        cwd: copy,
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    let said = ''
    child.stderr.on('data', chunk => {
      said += chunk
    })
    child.once('exit', code => resolve(code === 0 ? null : (/^\w*Error.*$/m.exec(said)?.[0] ?? said.slice(0, 200))))
  })

/** How a test file fares with all guards in their place: one that fails then proves nothing. Asked once, before the first guard that needs it. */
const withAllGuards = (test: string): Promise<Ran> => {
  const known = fared.get(test) ?? runTests(join('test', test))
  fared.set(test, known)
  return known
}
const fared = new Map<string, Promise<Ran>>()

const tryWithout = async ({ file, text, instead, tests }: Guard): Promise<{ caught: boolean; by: string }> => {
  const path = join(copy, file)
  const whole = readFileSync(path, 'utf8')
  const places = whole.split(text).length - 1
  if (places !== 1) return { caught: false, by: `its text is there ${places} times in ${file}: mend scripts/guards/list.ts` }
  const sound: string[] = []
  for (const test of tests) if (!(await withAllGuards(test)).failed) sound.push(test)
  if (sound.length === 0) return { caught: false, by: `not tried: ${tests[0]} fails with it, too: ${(await withAllGuards(tests[0]!)).by}` }
  writeFileSync(
    path,
    whole.replace(text, () => instead),
  )
  try {
    const fault = await loads(path)
    if (fault) return { caught: false, by: `without it ${file} does not load: ${fault}` }
    for (const test of sound) {
      const { failed, by } = await runTests(join('test', test))
      if (failed) return { caught: true, by: `${test}: ${by}` }
    }
    return { caught: false, by: sound.join(', ') }
  } finally {
    writeFileSync(path, whole)
  }
}

let survivors = 0
try {
  console.log(`${chosen.length} guards\n\n| guard | where | without it |\n| --- | --- | --- |`)
  for (const guard of chosen) {
    const { caught, by } = await tryWithout(guard)
    if (!caught) survivors++
    console.log(`| ${guard.name} | ${guard.file} | ${caught ? 'caught by' : '**SURVIVED**'} ${by.replaceAll('|', '\\|')} |`)
  }
  console.log(`\n${chosen.length - survivors} of ${chosen.length} caught.`)
} finally {
  rmSync(copy, { recursive: true, force: true, maxRetries: 5 })
}
process.exitCode = survivors > 0 ? 1 : 0
